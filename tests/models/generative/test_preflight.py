"""What is refused before weights are read, and that a fit reads its base once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from toys import dialogues, network, png
from transformers import PreTrainedModel

from vesalius import Answer, Dialogue, Picture, Question, Recipe, Turn
from vesalius.errors import ModelError, TooLong
from vesalius.models.build import build
from vesalius.models.generative.network import Network
from vesalius.models.generative.preflight import check_rows
from vesalius.models.generative.text.families import families, family
from vesalius.models.generative.weights.folder import shapes
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.steps.fit import fit
from vesalius.steps.plan import mask, plan


def recipe(**model: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 4, "validation": 2, "test": 2}, "size": 48},
            },
            "model": {
                "name": "generative",
                "roles": {"projector": "full", "language": "adapter"},
                "training": {"max_steps": 1, "batch": 2},
                **model,
            },
        }
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    model, processor = tiny_model(family("llava"), dialogues(), 0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@contextmanager
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often a model's numbers are read, and how often only its outline, by device."""
    counted: Counter[str] = Counter()
    read = PreTrainedModel.from_pretrained.__func__

    def spy(kind: Any, *args: Any, **options: Any) -> Any:
        result = read(kind, *args, **options)
        model = result[0] if isinstance(result, tuple) else result
        counted[{p.device.type for p in model.parameters()}.pop()] += 1
        return result

    with monkeypatch.context() as patched:
        patched.setattr(PreTrainedModel, "from_pretrained", classmethod(spy))
        yield counted


@pytest.mark.parametrize("quantization", [None, "nf4"])
def test_a_fit_reads_its_base_once(
    quantization: str | None, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = {"language": "adapter"}
    wanted = recipe(weights=str(checkpoint), quantization=quantization, roles=roles)
    with reads(monkeypatch) as counted:
        first = fit(wanted, tmp_path / "run")
    assert counted == {"meta": 1, "cpu": 1}
    again = recipe(weights=str(checkpoint), start=str(first.path))
    with reads(monkeypatch) as counted:
        fit(again, tmp_path / "next")
    assert counted == {"meta": 1, "cpu": 1}


def test_a_plan_reads_its_base_once_and_a_mask_only_shapes(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reads(monkeypatch) as counted:
        assert plan(recipe(weights=str(checkpoint)))["trainable"] > 0
    assert counted == {"meta": 1, "cpu": 1}
    with reads(monkeypatch) as counted:
        assert any(borne for _, borne in mask(recipe(weights=str(checkpoint))))
    assert counted == {"meta": 1}


@pytest.mark.parametrize("name", families())
def test_an_outline_is_its_model_without_numbers(name: str) -> None:
    outline, _ = tiny_model(family(name), dialogues(), 0, device="meta")
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert shapes(outline) == shapes(tiny_model(family(name), dialogues(), 0)[0])


NANO = {"name": "composed", "preset": "nano"}


@pytest.mark.parametrize("block", [NANO, {**NANO, "vision": "efficientnet_lite0"}])
def test_the_outline_of_a_composed_model(block: dict[str, Any]) -> None:
    learner: Any = build(block | {"vision_sizes": {}} if "vision" in block else block)
    origin = learner.blueprint.origin
    outline, processor = origin.outline(dialogues())
    model, whole = origin.base(dialogues(), 0, None)
    assert {p.device.type for p in outline.parameters()} == {"meta"}
    assert shapes(outline) == shapes(model)
    assert processor.tokenizer.get_vocab() == whole.tokenizer.get_vocab()


def test_a_base_that_changed_is_refused_before_a_run_is_begun(
    checkpoint: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "weights"
    moved.mkdir()
    for file in checkpoint.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    first = fit(recipe(weights=str(moved)), tmp_path / "first")
    other, _ = tiny_model(family("llava"), dialogues()[:1], 0)  # fewer words
    other.save_pretrained(moved)
    with pytest.raises(ModelError, match="another base: vocabulary"):
        fit(recipe(weights=str(moved), start=str(first.path)), tmp_path / "next")
    file = moved / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(ModelError, match="holds malformed weights"):
        fit(recipe(weights=str(moved)), tmp_path / "next")
    (first.weights / "adapter" / "adapter_config.json").unlink()
    with pytest.raises(ModelError, match=r"has lost adapter/adapter_config\.json"):
        fit(recipe(weights=str(moved), start=str(first.path)), tmp_path / "next")
    assert not (tmp_path / "next").exists()


# Rows


def talk(name: str, pictures: int) -> Dialogue:
    """A dialogue that shows so many pictures, one a turn."""
    turns = [
        Turn(
            Question("and this one?", answers=(Answer("a nodule"),)),
            (Picture("a", partial(png, "a")),),
            Answer("a nodule") if number < pictures - 1 else None,
        )
        for number in range(pictures)
    ]
    return Dialogue(name, tuple(turns), name)


def lengths(net: Network, *given: Dialogue) -> list[int]:
    """Tokens of each dialogue as a row."""
    return [
        len(net.encoder.prefix(net.encoder.template.render(d.closed()), d).ids)
        + len(net.encoder.segment(net.encoder.template.render(d.closed()), d.id).ids)
        for d in given
    ]


def test_each_head_is_measured_not_the_first_one_alone() -> None:
    net = network("llava")
    short, long = talk("one picture", 1), talk("three pictures", 3)
    one, three = lengths(net, short, long)
    assert three > 2 * one
    check_rows([short, long], replace(net, max_length=three))
    with pytest.raises(
        TooLong, match=f"three pictures: {three} tokens do not fit into {three - 1}"
    ):
        check_rows([short, long], replace(net, max_length=three - 1))
    with pytest.raises(TooLong, match="one picture"):
        check_rows([short, long], replace(net, max_length=one - 1))


def test_pictures_are_read_once_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("llava")
    several = [replace(talk("x", 1), id=str(number)) for number in range(5)]
    encoded: list[str] = []
    prefix = net.encoder.prefix

    def spy(rendered: Any, dialogue: Dialogue) -> Any:
        encoded.append(dialogue.id)
        return prefix(rendered, dialogue)

    monkeypatch.setattr(net.encoder, "prefix", spy)
    check_rows([*several, talk("two", 2), talk("two again", 2)], net)
    assert encoded == ["0", "two"]


def test_a_reply_that_melts_into_its_prompt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    net = network("llava")
    segment = net.encoder.segment

    def melting(rendered: Any, dialogue: str) -> Any:
        given = segment(rendered, dialogue)
        melts = dialogue == "b" and any(span.loss for span in rendered.tail)
        return (
            replace(given, ids=(*given.ids[:2], given.ids[2] + 1, *given.ids[3:]))
            if melts
            else given
        )

    monkeypatch.setattr(net.encoder, "segment", melting)
    fine = [replace(talk("a", 1), id=f"a/{number}") for number in range(3)]
    with pytest.raises(ModelError, match=r"^b: the training row is not prompt"):
        check_rows([*fine, replace(talk("a", 1), id="b")], net)
    check_rows([*fine, replace(talk("a", 1), id="b")], net, sample=3)  # a head that is known
    with pytest.raises(ModelError, match=r"^b: the training row is not prompt"):
        check_rows([*fine, replace(talk("a", 2), id="b")], net, sample=3)
