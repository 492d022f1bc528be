"""Export: merged weights answer as base and adapter do, and load in plain transformers."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import (
    AutoModelForImageTextToText,
    AutoModelForVisualQuestionAnswering,
    AutoProcessor,
    BitsAndBytesConfig,
)

from vesalius import Recipe, Run
from vesalius.cli import models as cli
from vesalius.errors import ModelError, RunError
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.models import models
from vesalius.models.capabilities import HubCard
from vesalius.models.generative.text.families import families
from vesalius.settings import Frozen
from vesalius.steps import verification
from vesalius.steps.export import export, push, required_licence
from vesalius.steps.export_card import model_card
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import predict
from vesalius.steps.verification import AS_SCORED, MERGED, PLAIN, scored_in

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 6, "validation": 2, "test": 3}, "size": 48},
    "leaks": "allow",
}


def recipe(**model: Any) -> Recipe:
    block = {"name": "generative", "family": "llava", "tiny": True, **model}
    training = {"max_steps": 3, "batch": 2, "learning_rate": 1e-2}
    return Recipe.model_validate(
        {
            "name": "small",
            "data": DATA,
            "model": {**block, "training": training},
            "decoding": {"max_new_tokens": 6},
            "evaluation": {"resamples": 50},
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = fit(recipe(), tmp_path_factory.mktemp("runs") / "small")
    predict(made)
    return made


@pytest.fixture(scope="module")
def exported(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "out"
    done = export(run, folder, check=6, four_bit=True)
    assert (done.checked, done.merged) == (6, True)
    assert done.rounded_equal.keys() == {"nf4"}
    equal = done.verified.equal
    assert (done.verified.stored, done.verified.scored) == (True, 6)
    assert equal[AS_SCORED] == equal[PLAIN] == equal[MERGED] == 6
    return folder


def test_the_folder_is_what_transformers_and_vllm_read(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}
    assert names >= {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert not any("adapter" in name for name in names)
    config = json.loads((exported / "config.json").read_text())
    assert config["architectures"] == ["LlavaForConditionalGeneration"]
    ends = json.loads((exported / "generation_config.json").read_text())["eos_token_id"]
    assert ends


def test_plain_transformers_answers_as_the_run_does(run: Run, exported: Path) -> None:
    first = next(iter(run.predictions()))
    processor = AutoProcessor.from_pretrained(exported)
    model = AutoModelForImageTextToText.from_pretrained(exported, dtype=torch.float32).eval()
    from vesalius.steps.prepare import dialogues

    dialogue = next(iter(dialogues(run.recipe().data, "test")))
    assert dialogue.id == first.id
    content = [{"type": "image"}, {"type": "text", "text": dialogue.question.text}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    made = processor(images=dialogue.pictures[0].pixels(), text=prompt, return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(**made, max_new_tokens=6, do_sample=False)
    said = processor.tokenizer.decode(ids[0, made.input_ids.shape[1] :], skip_special_tokens=True)
    assert said.strip() == first.text


def test_four_bits_load_in_plain_transformers(exported: Path) -> None:
    four = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = AutoModelForImageTextToText.from_pretrained(exported, quantization_config=four)
    assert any("4bit" in type(m).__name__.lower() for m in model.modules())


def test_the_card_carries_scores_with_protocol_and_interval(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    assert "not a medical device" in text
    assert "6 of 6 answers equal" in text
    card = ModelCard(text)
    assert card.data.pipeline_tag == "image-text-to-text"
    results = {r.metric_type: r for r in card.data.eval_results}
    assert results["squad.em"].dataset_split == "test"
    assert "protocol squad, n = " in results["squad.em"].metric_name
    for result in results.values():  # read back by the hub's own loader
        assert result.metric_args["n"] >= result.metric_args["groups"] >= 1
        assert result.metric_config
        assert result.metric_args["protocol"]
    assert results["calibration.ece"].metric_args["protocol"]["parameters"] == {"bins": 15}
    interval = results["squad.em"].metric_args["interval"]
    assert interval["low"] <= results["squad.em"].metric_value <= interval["high"]
    assert (interval["level"], results["squad.em"].metric_config) == (0.95, "squad")


def test_answers_that_differ_export_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vesalius.models.generative.learner import Generative

    written = Generative.write

    def spoil(self: Generative, run: Run, folder: Path, **how: Any) -> None:
        written(self, run, folder, **how)
        model = AutoModelForImageTextToText.from_pretrained(folder)
        with torch.no_grad():
            model.lm_head.weight.copy_(model.lm_head.weight.roll(7, 0))
        model.save_pretrained(folder)

    monkeypatch.setattr(Generative, "write", spoil)
    with pytest.raises(ModelError, match=r"answer . of . items differently"):
        export(run, tmp_path / "out", check=3)
    assert not list(tmp_path.iterdir())


def test_sixteen_bits_are_saved_where_asked_and_their_answers_counted(
    run: Run, tmp_path: Path
) -> None:
    done = export(run, tmp_path / "half", dtype="bf16", check=3)
    assert 0 <= done.rounded_equal["bf16"] <= 3
    assert json.loads((done.folder / "config.json").read_text())["dtype"] == "bfloat16"


def four_bit_run(path: Path, family: str, **model: Any) -> Run:
    """A run whose base was in 4 bits, rounded so coarsely that the plain base answers otherwise."""
    run = fit(recipe(family=family, quantization="nf4", **model), path)
    predict(run)
    return run


@pytest.mark.parametrize("family", ["llava", "qwen3_vl"])
def test_a_run_in_four_bits_a_plain_base_and_merged_weights_are_three_models(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = four_bit_run(tmp_path / "run", family)
    scored = {p.id: p.answer.text for p in run.predictions()}
    asked: dict[str, list[str | None]] = {}
    real = verification.answers

    def noted(model: Any, items: Any, decoding: Any) -> Any:
        found = real(model, items, decoding)
        if len(asked) in (0, 1):  # as if rounding had told on these: base and adapter, then merged
            found = [replace(p, answer=replace(p.answer, text="other")) for p in found[:2]] + found[
                2:
            ]
        asked[f"{len(asked)}"] = [p.answer.text for p in found]
        return found

    monkeypatch.setattr(verification, "answers", noted)
    done = export(run, tmp_path / "out", check=6, four_bit=True)
    ids = list(scored)[:6]
    plain, merged, rounded, again = (
        sum(text == scored[one] for text, one in zip(texts, ids, strict=True))
        for texts in asked.values()
    )
    assert again == 6  # the run answers as it was scored: its own quantisation
    assert plain == merged <= 4
    counts = {AS_SCORED: again, PLAIN: plain, MERGED: merged, "nf4": rounded}
    assert done.verified.equal == counts
    card = (done.folder / "README.md").read_text()
    for name, count in counts.items():
        assert f"{name} {count}" in done.summary
        assert f"{name} {count}" in card
    assert "scores of the run's own answers, given with the base in 4 bits (NF4)" in card
    assert "trained on the base in 4 bits (NF4)" in card
    (result, *_) = ModelCard(card).data.eval_results
    assert "answers of the base in 4 bits (NF4)" in result.metric_name


def test_an_adapter_of_a_run_in_four_bits_says_on_which_base(tmp_path: Path) -> None:
    run = fit(recipe(quantization="nf4"), tmp_path / "run")
    done = export(run, tmp_path / "adapter", merge=False, check=2)
    assert not done.verified.stored
    assert done.verified.equal.keys() == {AS_SCORED, PLAIN}
    assert done.verified.equal[AS_SCORED] == 2
    card = (done.folder / "README.md").read_text()
    assert "trained on this base in 4 bits" in card
    assert "Nothing was measured" in card


@pytest.mark.slow
def test_predictions_on_another_base_are_said_to_be_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(recipe(quantization="nf4"), tmp_path / "run")
    load(run, quantization="nf4")
    assert not caplog.records
    plain = load(run, quantization="none")
    assert "fitted with quantization nf4 and is asked with none: another model" in caplog.text
    assert scored_in(run) == "nf4"
    predict(run, model=plain, asked_of="none")
    assert scored_in(run) is None
    later = fit(recipe(start=str(run.path)), tmp_path / "later")
    assert "its adapter is merged into the plain base" in " ".join(capsys.readouterr().err.split())
    done = export(later, tmp_path / "out", check=2)
    assert "starts from a run with the base in 4 bits (NF4)" in (
        (done.folder / "README.md").read_text()
    )


def test_an_adapter_alone(run: Run, tmp_path: Path) -> None:
    done = export(run, tmp_path / "adapter", merge=False)
    assert not done.merged
    names = {path.name for path in done.folder.iterdir()}
    assert names >= {"README.md", "adapter_config.json", "adapter_model.safetensors"}


def test_a_folder_in_use_and_a_model_without_weights_are_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        export(run, tmp_path / "full")
    table = fit(recipe().model_copy(update={"model": {"name": "majority"}}), tmp_path / "majority")
    with pytest.raises(ModelError, match="majority has no weights"):
        export(table, tmp_path / "out")


def test_push_uploads_what_was_exported(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, Any]] = []

    class Hub:
        def create_repo(self, name: str, **options: Any) -> str:
            calls.append(("create", (name, options["private"])))
            return f"https://hub/{name}"

        def repo_info(self, name: str) -> Any:
            return SimpleNamespace(private=name != "me/open")

        def upload_folder(self, **options: Any) -> None:
            calls.append(("upload", options["folder_path"]))

    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert push(exported, "me/small") == "https://hub/me/small"
    assert calls == [("create", ("me/small", True)), ("upload", str(exported))]
    with pytest.raises(RunError, match="is there already, and public"):
        push(exported, "me/open")
    with pytest.raises(RunError, match="was not exported"):
        push(tmp_path, "me/small")


def test_the_command_says_what_was_verified(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.export(
        run.path,
        out=tmp_path / "out",
        merge=True,
        dtype="fp32",
        check=2,
        four_bit=False,
        licence="mit",
        engine=None,
        push=None,
        public=False,
    )
    assert "2 of 2 answers equal" in capsys.readouterr().out


def test_a_classifier_is_exported_whole(tmp_path: Path) -> None:
    small = recipe().model_copy(
        update={"model": {"name": "vilt", "tiny": True, "training": {"max_steps": 2, "batch": 4}}}
    )
    run = fit(small, tmp_path / "vilt")
    done = export(run, tmp_path / "out", check=4)
    assert done.checked == 4
    assert ModelCard.load(done.folder / "README.md").data.pipeline_tag == (
        "visual-question-answering"
    )
    model = AutoModelForVisualQuestionAnswering.from_pretrained(done.folder)
    assert set(model.config.id2label.values()) >= {"yes", "no"}
    with pytest.raises(ModelError, match="has no adapter"):
        export(run, tmp_path / "adapter", merge=False)


class Copyleft:
    """A learner whose weights have the licence of what they were trained with."""

    Settings: ClassVar[type[Frozen]] = Frozen
    needs_image = True
    card: ClassVar[HubCard] = HubCard(
        "object-detection", library="other", licence="agpl-3.0", code="import other"
    )

    def __init__(self, settings: Frozen) -> None: ...


def test_weights_of_one_licence_are_exported_under_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models._own, "copyleft", f"{__name__}:Copyleft")
    alone = recipe().model_copy(update={"model": {"name": "copyleft"}})
    run = Run.create(tmp_path / "run", alone)
    assert required_licence(run, None) == required_licence(run, "agpl-3.0") == "agpl-3.0"
    with pytest.raises(ModelError, match=r"only under agpl-3.0, not under apache-2.0"):
        required_licence(run, "apache-2.0")
    card = ModelCard(model_card(run, "", merged=True, licence="agpl-3.0"))
    assert (card.data.license, card.data.library_name) == ("agpl-3.0", "other")
    assert "only under AGPL-3.0" in card.text
    assert "```python\nimport other\n```" in card.text


def test_a_members_licence_is_that_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models._own, "copyleft", f"{__name__}:Copyleft")
    members = {"one": {"name": "copyleft"}, "two": {"name": "majority"}}
    whole = recipe().model_copy(update={"model": {"name": "consensus", "members": members}})
    run = Run.create(tmp_path / "run", whole)
    for key, member in whole.members().items():
        assert isinstance(member, Recipe)
        Run.create(tmp_path / "run" / "members" / key, member)
    assert required_licence(run, None) == "agpl-3.0"
    with pytest.raises(ModelError, match=r"only under agpl-3\.0"):
        required_licence(run, "mit")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(families()))
def test_every_family_from_fit_to_reload(name: str, tmp_path: Path) -> None:
    if name == "smolvlm" and find_spec("num2words") is None:
        pytest.skip("num2words (LGPL) is not installed")
    run = fit(recipe(family=name), tmp_path / "run")
    assert predict(run) > 0
    assert evaluate_run(run).score("squad.em").n > 0
    done = export(run, tmp_path / "out", check=3)
    assert done.checked == 3
    assert AutoModelForImageTextToText.from_pretrained(done.folder).config.model_type
