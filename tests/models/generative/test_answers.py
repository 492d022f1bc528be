"""Models that write boxes and concepts: trained, asked, exported, and compared whole."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.box_convention import BoxConvention
from vesalius.models.build import build
from vesalius.models.codecs import Replies
from vesalius.models.generative.text.families import families
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.settings import validated
from vesalius.steps import export as exporting
from vesalius.steps import verification
from vesalius.steps.evaluate import compare
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.prepare import to_fit_on

FAMILIES = [
    "blip2_opt", "blip2_t5", "gemma3", "internvl", "llava", "paligemma", "qwen2_5_vl", "qwen3_vl",
]  # fmt: skip
EPOCHS = 150
SCORES = {
    "detect": ("detection", "detection.map"),
    "concepts": ("concepts_f1", "concepts.f1"),
}
CASES = {"train": 4, "validation": 0, "test": 2}


def recipe(family: str, task: str, *, epochs: int = 1, **model: Any) -> Recipe:
    """A toy of the family, all of it trained on four small phantoms, asked about them again."""
    content = {
        "name": "answers",
        "data": {
            "dataset": "phantom",
            "options": {"cases": CASES, "size": 64, "families": ["chest_film"]},
            "task": task,
            "instruction": "list them.",
            "splits": {"validation": None},
        },
        "model": {
            "name": "generative",
            "tiny": True,
            "family": family,
            "roles": dict.fromkeys(("vision", "projector", "language"), "full"),
            "training": {"epochs": epochs, "batch": 4, "learning_rate": 3e-3},
            "device": "cpu",
            **model,
        },
        "decoding": {"max_new_tokens": 160},
        "evaluation": {"metrics": ["detection", "concepts_f1"], "resamples": 10},
    }
    return validated(Recipe, content, where="test")


def content(answer: Answer, task: str) -> Any:
    return answer.boxes if task == "detect" else answer.concepts


@pytest.mark.parametrize(
    ("task", "answers", "message"),
    [
        ("detect", "text", "a reply of boxes cannot be written as text"),
        ("caption", "boxes", "a reply of text cannot be written as boxes"),
        ("concepts", "boxes", "a reply of concepts cannot be written as boxes"),
    ],
)
def test_answers_that_cannot_be_written_are_refused_before_anything_is_made(
    task: str, answers: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        fit(recipe("llava", task, answers=answers), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["detect", "concepts"])
def test_a_prompt_row_holds_the_answer_as_the_family_writes_it(task: str) -> None:
    for family in FAMILIES:
        answers = "boxes" if task == "detect" else task
        chosen = recipe(family, task, answers=answers)
        train = to_fit_on(chosen.data, "train")
        learner: Any = build(chosen.model)
        network = learner.untuned().network
        for dialogue in train:
            rendered = network.encoder.template.render(dialogue.closed())
            segment = network.encoder.segment(rendered, dialogue.id)
            reply = [
                token
                for token, label in zip(segment.ids, segment.labels, strict=True)
                if label >= 0
            ]
            text = network.text(reply).strip()
            decoded = network.codec.decode(text, dialogue.picture)
            answer = decoded.answer
            assert not decoded.unread
            wanted = dialogue.question.answers[0]
            assert network.codec.holds(answer), (family, text)
            if task == "concepts":
                assert answer.concepts == wanted.concepts
            else:
                assert [b.label for b in answer.boxes] == [b.label for b in wanted.boxes or ()]
            ids = network.encoder.tokenizer.convert_ids_to_tokens(reply)
            if family == "paligemma" and task == "detect":
                assert sum(t.startswith("<loc") for t in ids) == 4 * len(wanted.boxes or ())
            if (
                family == "internvl" and task == "detect"
            ):  # reserved ones, which are read all the same
                assert ids.count("<box>") == ids.count("</ref>") == text.count("<box>")


def test_an_unread_reply_is_an_abstention_and_a_box_that_moved_is_seen_by_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(recipe("llava", "detect"), tmp_path / "run")
    assert predict(run) == 2
    assert run.status()["boxes"] == {
        "convention": BoxConvention().model_dump(),
        "classes": ["pleural effusion"],
    }
    counts: Counter[str] = Counter()
    for prediction in run.predictions():
        assert prediction.answer.text is not None
        assert (prediction.answer.boxes is None) == prediction.abstained
        assert not prediction.abstained or prediction.notes
        counts.update(prediction.notes or {})
    assert run.counts() == dict(counts)
    truly, calls = verification.answers, []

    def altered(model: Any, items: Any, decoding: Any) -> Any:
        answers = truly(model, items, decoding)
        calls.append(model)
        moved = replace(answers[0].answer, boxes=(Box(0, 0, 1, 1, "mass"),))
        return [replace(answers[0], answer=moved), *answers[1:]] if len(calls) == 2 else answers

    monkeypatch.setattr(verification, "answers", altered)
    with pytest.raises(ModelError, match="answer 1 of 2 items differently"):
        exporting.export(run, tmp_path / "out", check=2)
    assert not (tmp_path / "out").exists()


def test_a_run_reads_boxes_as_it_learnt_to_write_them(tmp_path: Path) -> None:
    block = {"key": "bbox_2d", "scale": 1000, "digits": 0}
    own = recipe("gemma3", "detect", boxes="qwen3_vl")
    learner: Any = build(own.model)
    train = to_fit_on(own.data, "train")
    assert learner.blueprint.answers(train).convention == BoxConvention(**block)

    run = Run.create(tmp_path / "run", recipe("gemma3", "detect"))
    plain: Any = build(run.recipe().model)
    # A run of before the families table had a row for Gemma's boxes.
    assert plain.blueprint.answers((), run) == Replies("boxes", BoxConvention())
    replies = plain.blueprint.answers(train)
    assert replies.convention == families()["gemma3"].boxes
    assert replies.classes == tuple(sorted({b.label for d in train for b in drawn(d)}))
    plain.blueprint.note_answers(run, replies)
    assert plain.blueprint.answers((), run) == replies


def drawn(dialogue: Dialogue) -> tuple[Box, ...]:
    return dialogue.question.answers[0].boxes or ()


@pytest.mark.slow
@pytest.mark.parametrize("task", ["detect", "concepts"])
@pytest.mark.parametrize("family", ["blip2_opt", "llava", "qwen2_5_vl"])
def test_boxes_and_concepts_are_learnt_predicted_and_exported_whole(
    family: str, task: str, tmp_path: Path
) -> None:
    run = fit(recipe(family, task, epochs=EPOCHS), tmp_path / "run")
    predict(run, split="train", name="seen")
    seen = list(run.predictions("seen"))
    read = [content(p.answer, task) for p in seen]
    assert all(value is not None for value in read)
    assert any(read)
    for prediction in seen:
        wanted = content(prediction.references[0], task)
        got = content(prediction.answer, task)
        if task == "concepts":
            assert set(got) == set(wanted)
        else:
            assert [box.label for box in got] == [box.label for box in wanted]
    assert exporting.export(run, tmp_path / "out", check=2).checked == 2
    fresh = fit(recipe(family, task), tmp_path / "fresh")
    predict(fresh, split="train", name="seen")
    metric, score = SCORES[task]
    compared = compare(list(fresh.predictions("seen")), seen, metrics=[metric], resamples=10)
    (gain,) = (d for d in compared.overall() if d.metric == score)
    assert (compared.shared, compared.answers_differ) == (len(seen), len(seen))
    assert gain.second > gain.first
