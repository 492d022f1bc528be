"""The generative learner: how weights train, are kept, start other runs, and what is refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers.models.llama.modeling_llama import LlamaMLP

from vesalius import Prediction, Recipe, Run
from vesalius.errors import ModelError, RecipeError, RunError, UnknownName, VesaliusError
from vesalius.models.build import build
from vesalius.models.generative.fitting import prepared
from vesalius.models.generative.learner import Generative
from vesalius.models.generative.text.families import families
from vesalius.models.generative.weights import loading
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.plan import plan
from vesalius.steps.prepare import dialogues
from vesalius.system.files import read_json, read_lines, write_json
from vesalius.training import device
from vesalius.training.parts import census

STEPS = 4
ROLES = {"vision": "frozen", "projector": "full", "language": "adapter"}
TRAINING = {"max_steps": STEPS, "batch": 2, "learning_rate": 0.01}


def recipe(**model: Any) -> Recipe:
    training = {**TRAINING, **model.pop("training", {})}
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 6, "validation": 2, "test": 2}, "size": 48},
            },
            "model": {
                "name": "generative",
                "tiny": True,
                "family": "llava",
                "roles": ROLES,
                "adapter": {"r": 4},
                "training": training,
                **model,
            },
            "decoding": {"max_new_tokens": 3},
        }
    )


def weighed(place: Path | str, **model: Any) -> Recipe:
    return recipe(tiny=False, family=None, weights=str(place), **model)


def losses(run: Run) -> list[float]:
    rows = read_lines(run.log) if run.log.exists() else []
    return [float(row["loss"]) for _, row in rows if "loss" in row]


def said(run: Run, **how: Any) -> list[tuple[str, float]]:
    asked = list(dialogues(recipe().data, "test"))[:4]
    found: list[Prediction] = load(run, **how).predict(asked, recipe().decoding)
    return [(p.text, p.confidence.value) for p in found if p.confidence]


def close(one: list[tuple[str, float]], other: list[tuple[str, float]], within: float) -> bool:
    pairs = zip(one, other, strict=True)
    return all(a[0] == b[0] and a[1] == pytest.approx(b[1], rel=within) for a, b in pairs)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """Runs by name, each fitted once."""
    folder = tmp_path_factory.mktemp("runs")
    kinds: dict[str, dict[str, Any]] = {
        "lora": {},
        "nf4": {"quantization": "nf4"},
        "full": {"roles": {"vision": "full", "projector": "full", "language": "full"}},
    }
    return lambda name: fit(recipe(**kinds[name]), folder / name)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny LLaVA as anyone's checkpoint is: weights and processor in a folder."""
    folder = tmp_path_factory.mktemp("checkpoint")
    learner: Any = build(recipe().model)
    model, processor = tiny_model(
        learner.blueprint.origin.family(), list(dialogues(recipe().data, "train")), 0
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def copied(checkpoint: Path, tmp_path: Path) -> Path:
    return shutil.copytree(checkpoint, tmp_path / "weights")


@pytest.mark.parametrize("name", ["lora", "nf4", "full"])
def test_training_lowers_the_loss(name: str, made: Callable[[str], Run]) -> None:
    run = made(name)
    assert len(losses(run)) == STEPS
    assert losses(run)[-1] < losses(run)[0] - 0.3
    assert run.status()["parts"]["projector"]["trainable"] > 0


def test_an_adapter_file_holds_adapters_and_named_parts_only(made: Callable[[str], Run]) -> None:
    names = load_file(made("lora").weights / "adapter" / "adapter_model.safetensors")
    assert all("lora_" in name or "multi_modal_projector" in name for name in names)
    config = read_json(made("lora").weights / "adapter" / "adapter_config.json")
    assert config["modules_to_save"] == ["model.multi_modal_projector"]


def test_what_trains_is_printed_once(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fit(recipe(training={"max_steps": 1}), tmp_path / "run")
    shown = capfd.readouterr().err
    assert shown.count("what trains") == 1
    assert "language" in shown
    assert "adapter" in shown


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_activation_checkpointing_changes_no_loss(
    quantization: str | None,
    made: Callable[[str], Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The base is frozen, so nothing that enters a layer needs a gradient, only what is inside it.
    ran: list[bool] = []
    forward = LlamaMLP.forward

    def counted(self: LlamaMLP, states: torch.Tensor) -> torch.Tensor:
        ran.append(True)
        return forward(self, states)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    changed = recipe(quantization=quantization, training={"gradient_checkpointing": True})
    run = fit(changed, tmp_path / "run")
    assert losses(run) == pytest.approx(losses(made("nf4" if quantization else "lora")), rel=1e-5)
    assert len(ran) == 2 * 2 * STEPS  # two layers, forward and again for the backward pass


def test_a_tuned_adapter_answers_on_a_4_bit_base(made: Callable[[str], Run]) -> None:
    plain, four_bit = said(made("lora")), said(made("lora"), quantization="nf4")
    assert len(four_bit) == 4
    assert plain != four_bit  # rounded
    assert all(a[1] == pytest.approx(b[1], rel=0.2) for a, b in zip(plain, four_bit, strict=True))


def test_a_4_bit_run_loads_in_4_bits_its_adapters_unmerged(made: Callable[[str], Run]) -> None:
    model: Any = load(made("nf4")).network.model
    layers = {type(m).__name__ for n, m in model.named_modules() if n.endswith("q_proj")}
    # vision is plain; the language model has LoRA around 4 bits
    assert layers == {"Linear", "Linear4bit"}
    assert type(model).__name__ == "LlavaForConditionalGeneration"
    lora = [n for n, _ in model.named_parameters() if "lora_A" in n]
    assert len(lora) == 2 * 7  # two layers of seven linears
    plain: Any = load(made("nf4"), quantization="none").network.model
    assert not [n for n, _ in plain.named_parameters() if "lora" in n]


def test_a_model_trained_in_full_loads_in_4_bits_too(made: Callable[[str], Run]) -> None:
    assert not (made("full").weights / "adapter").exists()
    assert said(made("full")) != said(made("full"), quantization="nf4")
    with pytest.raises(UnknownName, match="did you mean nf4"):
        load(made("full"), quantization="nf5")


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_where_every_part_is_frozen_the_run_is_the_untuned_baseline(
    quantization: str | None, checkpoint: Path, tmp_path: Path
) -> None:
    for name, kind in (("tiny", recipe), ("folder", partial(weighed, checkpoint))):
        frozen = kind(roles={"language": "frozen"}, quantization=quantization)
        run = fit(frozen, tmp_path / name)
        assert plan(frozen)["steps"] == 0
        assert not {"adapter", "model"} & {path.name for path in run.weights.iterdir()}
        assert len(said(run)) == 4
    assert not losses(run)


def test_weights_from_a_folder_are_quantised_as_they_are_read(
    checkpoint: Path, tmp_path: Path
) -> None:
    run = fit(weighed(checkpoint, quantization="nf4"), tmp_path / "run")
    assert not (run.weights / "base").exists()
    assert losses(run)[-1] < losses(run)[0]
    assert len(said(run)) == 4
    assert len(said(run, quantization="none")) == 4


@pytest.mark.parametrize("name", families())
def test_every_familys_adapters_land_on_the_parts_they_are_for(name: str) -> None:
    learner: Any = build(recipe(family=name).model)
    network = prepared(learner.blueprint, list(dialogues(recipe().data, "train"))[:2], 0)
    counts = census(network.model, network.family.parts)
    assert counts["vision"]["trainable"] == 0
    for part in ("projector", "language"):
        assert counts[part]["trainable"] > 0
    assert counts["language"]["trainable"] < counts["language"]["parameters"] / 2
    assert "other" not in counts or counts["other"]["trainable"] == 0


def test_blip2s_q_former_is_adapted_by_its_familys_own_targets() -> None:
    roles = {"qformer": "adapter"}
    learner: Any = build(recipe(family="blip2_t5", roles=roles).model)
    network = prepared(learner.blueprint, list(dialogues(recipe().data, "train"))[:2], 0)
    adapted = [n for n, p in network.model.named_parameters() if p.requires_grad]
    assert adapted
    assert all(".qformer.encoder.layer." in name for name in adapted)
    kinds = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name in adapted}
    assert kinds == {"query", "key", "value", "dense"}


@pytest.mark.parametrize("name", ["lora", "full"])
def test_whole_weights_are_written_under_the_hubs_names(
    name: str, made: Callable[[str], Run], checkpoint: Path, tmp_path: Path
) -> None:
    learner: Any = build(made(name).recipe().model)
    learner.write(made(name), tmp_path / "out", merge=True)
    names = load_file(tmp_path / "out" / "model.safetensors").keys()
    assert names == load_file(checkpoint / "model.safetensors").keys()
    asked = list(dialogues(recipe().data, "test"))[:4]
    again = learner.read(made(name), tmp_path / "out").predict(asked, recipe().decoding)
    assert [p.text for p in again] == [text for text, _ in said(made(name))]


# Starting from a run


def test_a_run_starts_where_another_ended(made: Callable[[str], Run], tmp_path: Path) -> None:
    first = made("lora")
    untaught = {"max_steps": 1, "learning_rate": 1e-12}
    # In bf16, where the CPU is fast at it, the start's weights would be rounded.
    again = recipe(start=str(first.path), training=untaught, precision="fp32")
    run = fit(again, tmp_path / "second")
    assert close(said(run), said(first), within=1e-4)
    assert losses(run)[0] < losses(first)[0]
    assert not (run.weights / "base").exists()  # the first run has it
    again = recipe(start=str(run.path), training=untaught, precision="fp32")
    third = fit(again, tmp_path / "third")
    assert close(said(third), said(first), within=1e-4)


def test_runs_that_are_moved_together_still_load(
    made: Callable[[str], Run], tmp_path: Path
) -> None:
    first = Run(shutil.copytree(made("lora").path, tmp_path / "here" / "first"))
    run = fit(recipe(start=str(first.path), training={"max_steps": 1}), tmp_path / "here" / "next")
    before = said(run)
    (tmp_path / "here").rename(tmp_path / "there")
    assert said(Run(tmp_path / "there" / "next")) == before
    (tmp_path / "there" / "first").rename(tmp_path / "gone")
    with pytest.raises(RunError, match=r"starts from the run .*first, which is gone"):
        load(Run(tmp_path / "there" / "next"))
    other = fit(recipe(training={"max_steps": 1}), tmp_path / "there" / "first")
    with pytest.raises(RunError, match=r"starts from the run .*first, which was fitted anew"):
        load(Run(tmp_path / "there" / "next"))
    assert other.fitted


def test_a_start_that_cannot_be(made: Callable[[str], Run], tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run to start from"):
        fit(recipe(start=str(tmp_path / "none")), tmp_path / "run")
    unfinished = Run.create(tmp_path / "unfinished", recipe())
    with pytest.raises(RunError, match="not fitted to the end"):
        fit(recipe(start=str(unfinished.path)), tmp_path / "run")
    first = str(made("lora").path)
    with pytest.raises(ModelError, match="its family is 'llava', here it is 'llava_next'"):
        fit(recipe(start=first, family="llava_next"), tmp_path / "run")
    nano = recipe().model_copy(
        update={"model": {"name": "composed", "preset": "nano", "start": first}}
    )
    with pytest.raises(ModelError, match="was fitted by generative, from which"):
        fit(nano, tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Weights that are not what they were


def test_weights_that_were_altered_are_refused(made: Callable[[str], Run], tmp_path: Path) -> None:
    run = Run(shutil.copytree(made("lora").path, tmp_path / "run"))
    file = run.weights / "adapter" / "adapter_model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=r"adapter/adapter_model\.safetensors is not what"):
        load(run)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"of adapter/adapter_model\.safetensors"):
        load(run)
    file.unlink()
    with pytest.raises(ModelError, match=r"has lost adapter/adapter_model\.safetensors"):
        load(run)


def test_malformed_weights_are_named(copied: Path, tmp_path: Path) -> None:
    file = copied / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="holds malformed weights"):
        fit(weighed(copied), tmp_path / "run")


def test_weights_that_are_missing_are_not_made_up(copied: Path, tmp_path: Path) -> None:
    # transformers fills them with random numbers and says so in a log line.
    tensors = load_file(copied / "model.safetensors")
    name = next(n for n in tensors if "multi_modal_projector" in n)
    del tensors[name]
    save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 of the model's weights"):
        fit(weighed(copied), tmp_path / "run")


def test_an_adapter_on_another_base_is_refused(copied: Path, tmp_path: Path) -> None:
    run = fit(weighed(copied, training={"max_steps": 1}), tmp_path / "run")
    learner: Any = build(recipe().model)
    words = list(dialogues(recipe().data, "train"))[:1]  # fewer words, a smaller vocabulary
    other, _ = tiny_model(learner.blueprint.origin.family(), words, 0)
    vocabulary = other.get_input_embeddings().num_embeddings
    other.save_pretrained(copied)
    with pytest.raises(ModelError, match=rf"another base: vocabulary \d+, here {vocabulary}"):
        load(run)


# What is refused before any long work


def refused(run: Path, wrong: Recipe, kind: type[VesaliusError], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        fit(wrong, run)
    assert "\n" not in str(caught.value)
    assert not run.exists()


def test_a_pickle_is_read_only_when_named(copied: Path, tmp_path: Path) -> None:
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    words = r"only a pickle \(pytorch_model\.bin\).*allow_pickle"
    refused(tmp_path / "run", weighed(copied), ModelError, words)
    named = weighed(copied, allow_pickle=True, training={"max_steps": 1})
    assert fit(named, tmp_path / "run").fitted


def test_code_of_a_stranger_is_run_only_when_named(copied: Path, tmp_path: Path) -> None:
    config = read_json(copied / "config.json")
    mapped = {"AutoConfig": "theirs.Config", "AutoModelForImageTextToText": "theirs.Model"}
    (copied / "theirs.py").write_text("raise SystemExit('it ran')\n")
    write_json(copied / "config.json", config | {"auto_map": mapped, "model_type": "theirs"})
    wrong = weighed(copied)
    refused(tmp_path / "run", wrong, ModelError, "wants to run code of its own.*trust_remote_code")
    # transformers knows this type itself: the code beside it is not wanted and not run
    write_json(copied / "config.json", config | {"auto_map": mapped})
    assert fit(weighed(copied, training={"max_steps": 1}), tmp_path / "run").fitted


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("You are trying to access a gated repo.\nMake sure ...", "is gated.*hf auth login"),
        ("We couldn't connect to 'https://x' to load the files", "the hub cannot be reached"),
        ("a/b is not a local folder and is not a valid model identifier", "neither a folder"),
        ("No space left on device", "cannot be loaded as a model: No space left on device"),
    ],
)
def test_a_hub_that_says_no(
    said: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(said)

    monkeypatch.setattr(loading.PreTrainedConfig, "get_config_dict", refuse)
    refused(tmp_path / "run", weighed("owner/name"), ModelError, f"^owner/name: .*{words}")


def test_weights_that_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    run = tmp_path / "run"
    refused(run, weighed("owner/name"), ModelError, "not here, and the hub cannot be reached")
    refused(run, weighed(tmp_path / "none"), ModelError, "neither a folder here nor a model")
    composed = {"name": "composed", "preset": "nano", "language": "owner/name"}
    wrong = recipe().model_copy(update={"model": composed})
    refused(run, wrong, ModelError, "^owner/name: cannot be loaded as a language model")


def test_an_adapter_is_no_model(made: Callable[[str], Run], tmp_path: Path) -> None:
    folder = made("lora").weights / "adapter"
    refused(tmp_path / "run", weighed(folder), ModelError, "is an adapter, not a model.*start")


def test_a_family_that_is_not_there(copied: Path, tmp_path: Path) -> None:
    refused(tmp_path / "run", recipe(family="lava"), UnknownName, "did you mean llava")
    config = read_json(copied / "config.json")
    write_json(copied / "config.json", config | {"model_type": "llama"})
    refused(tmp_path / "run", weighed(copied), ModelError, "no family for model type 'llama'")


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        ({"roles": {"qformer": "adapter"}}, UnknownName, "no part called 'qformer'"),
        ({"quantization": "nf4", "roles": {"language": "full"}}, RecipeError, "train in full"),
        ({"quantization": "nf4", "roles": {"projector": "full"}}, RecipeError, "no adapter"),
        ({"precision": "fp16"}, RecipeError, "fp16 is for CUDA"),
        ({"training": {"optimizer": "adamx"}}, UnknownName, "no optimizer called 'adamx'"),
        ({"training": {"patience": 2}}, RecipeError, "nothing is validated"),
    ],
)
def test_settings_that_cannot_be(
    model: dict[str, Any], kind: type[VesaliusError], words: str, tmp_path: Path
) -> None:
    refused(tmp_path / "run", recipe(**model), kind, words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_that_is_asked_for_and_absent(tmp_path: Path) -> None:
    refused(tmp_path / "run", recipe(device="cuda"), ModelError, "CUDA is asked for")


def test_cpu_means_the_cpu_where_there_is_cuda_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    assert device.resolve_device("auto") == torch.device("cuda", 0)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.resolve_device("cuda") == torch.device("cuda", 3)
    assert device.resolve_device("cpu") == torch.device("cpu")
    assert device.resolve_device("auto") == torch.device("cpu")  # Trainer asks so


def test_the_learner_checks_itself_by_its_settings_alone() -> None:
    learner = build(recipe(start="{run}/stages/1-align").model)
    assert isinstance(learner, Generative)
    learner.check(validated=False)  # a start inside the run is made by the stages before
