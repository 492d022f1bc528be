"""The synthesizer on phantoms: who writes, what is refused before a fit, how a writer learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.combine.synthesizer.learner import (
    SynthesizedAnswers,
    Synthesizer,
    SynthesizerSettings,
    briefing_of,
)
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson, Piece, Streaming
from vesalius.models.build import build
from vesalius.models.text_only.learner import Text
from vesalius.recipe import Decoding, Recipe
from vesalius.run import Run
from vesalius.steps.check import check
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 6, "validation": 1, "test": 2}, "size": 32},
    "task": "caption",
}
DRAFT = {"name": "nearest"}
WRITER = {"name": "text", "tiny": True, "kind": "causal", "roles": {}}
VLM = {"name": "generative", "tiny": True, "family": "llava", "roles": {}}
MEMBERS = {"draft": DRAFT, "writer": WRITER}


def recipe(name: str = "synthesizer", folds: int | None = None, **model: Any) -> Recipe:
    members = {"draft": {"name": "majority"}} if name == "trained_synthesizer" else MEMBERS
    content = {
        "name": "whole",
        "data": DATA,
        "model": {"name": name, "members": members, "threshold": -1.0, **model},
        "decoding": {"max_new_tokens": 4},
        "evaluation": {"metrics": ["rouge"], "watch": "rouge.L", "resamples": 0},
        "folds": folds,
    }
    return Recipe.model_validate(content)


class Scripted:
    """Writes the same whatever it is asked, and remembers that."""

    needs_image = False

    def __init__(self, text: str = "A film.") -> None:
        self.text, self.prompts = text, list[Dialogue]()

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        self.prompts += dialogues
        return [Prediction.of(one, Answer(self.text), finish="stop") for one in dialogues]


class Listed(Scripted):
    """Answers with what it was given, in that order."""

    def __init__(self, answers: Sequence[Prediction]) -> None:
        super().__init__()
        self.answers = list(answers)

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        return self.answers


class Talking(Scripted):
    def stream(
        self, dialogues: Sequence[Dialogue], decoding: Decoding, **_: Any
    ) -> Iterator[Piece]:
        for place, one in enumerate(self.predict(dialogues, decoding)):
            yield from ((place, word) for word in one.text.split())
            yield place, one


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(recipe(neighbours=2), tmp_path_factory.mktemp("synthesizer") / "run")


def asked() -> list[Dialogue]:
    return list(dialogues(recipe().data, "test"))


def model(run: Run, writer: Any, draft: Any | None = None, **settings: Any) -> Any:
    learner = Synthesizer(SynthesizerSettings(threshold=-1.0, neighbours=2, **settings))
    return learner.load(run, members={"draft": draft or Scripted("A draft."), "writer": writer})


def test_a_run_answers_with_draft_and_neighbours_and_counts(run: Run, tmp_path: Path) -> None:
    assert predict(run) == 2
    for answer in run.predictions():
        assert [one.member for one in answer.member_answers] == ["draft"]
        assert len(answer.neighbours) == 2
        assert answer.question == DATA.get("instruction", "Describe this image.")
        assert answer.references
    counts = run.counts()
    assert counts["neighbours"] == 4
    assert counts["cut"] == 2  # four tokens of toy weights
    assert export(run, tmp_path / "alone", check=2).checked == 2


def test_the_writer_is_told_the_draft_and_whole_captions(run: Run) -> None:
    writer = Scripted()
    (answer, _) = model(run, writer).predict(asked(), Decoding())
    text = writer.prompts[0].question.text
    assert "Draft: A draft. Similar images: 1. " in text
    for near in answer.neighbours:
        assert near.text in text
        assert near.case != asked()[0].case


def test_a_streaming_writer_is_heard_once_its_text_is_whole(run: Run) -> None:
    synthesizer = model(run, Talking("Caption: A film of it."))
    assert isinstance(synthesizer, Streaming)
    pieces = list(synthesizer.stream(asked()[:1], Decoding()))
    assert pieces[0] == (0, "A film of it.")
    assert pieces[1][1].text == "A film of it."
    assert len(pieces) == 2
    assert not isinstance(model(run, Scripted()), Streaming)
    assert list(synthesizer.predict_each(asked(), Decoding())) == synthesizer.predict(
        asked(), Decoding()
    )


def test_the_swapped_control_tells_of_other_cases(run: Run) -> None:
    synthesizer = model(run, Scripted())
    own = synthesizer.predict(asked(), Decoding())
    swapped = synthesizer.with_neighbours("swapped").predict(asked(), Decoding())
    assert [one.neighbours for one in own] != [one.neighbours for one in swapped]
    assert [one.text for one in own] == [one.text for one in swapped]


def test_a_missing_picture_is_refused_before_anybody_is_asked(run: Run) -> None:
    writer, bare = (
        Scripted(),
        Dialogue("bare", (asked()[0].turns[0].__class__(asked()[0].question),), "g"),
    )
    with pytest.raises(ModelError, match=r"bare.*no picture"):
        model(run, writer).predict([bare], Decoding())
    assert writer.prompts == []


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"members": {"draft": DRAFT}}, r"wraps draft, writer and, if there is one, concepts"),
        ({"members": {**MEMBERS, "other": DRAFT}}, "wrong: other"),
        ({"members": {**MEMBERS, "writer": VLM}}, r"writer: answers from pictures alone"),
        ({"seeing": True}, r"members\.writer: sees no pictures"),
        ({"violation": "hide"}, "violation"),
    ],
)
def test_refused_before_a_folder_is_made(
    settings: dict[str, Any], match: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=match):
        fit(recipe(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_writer_that_sees_is_taken_where_it_is_shown_the_picture(tmp_path: Path) -> None:
    run = fit(recipe(seeing=True, members={**MEMBERS, "writer": VLM}), tmp_path / "run")
    (answer,) = load(run).predict(asked()[:1], Decoding(max_new_tokens=2))
    assert answer.usage is not None
    assert answer.usage.image_tokens > 0


@pytest.mark.slow
def test_multi_a_member_tells_concepts_of_its_own_task(tmp_path: Path) -> None:
    tagger = {
        "model": {"name": "tagger", "head_epochs": 1},
        "data": {"task": "concepts"},
        "evaluation": {"metrics": ["concepts_f1"], "watch": "concepts.f1"},
    }
    run = fit(recipe(members={**MEMBERS, "concepts": tagger}), tmp_path / "run")
    (answer,) = load(run).predict(asked()[:1], Decoding(max_new_tokens=2))
    assert [one.member for one in answer.member_answers] == ["draft", "concepts"]
    assert answer.member_answers[1].answer.concepts is not None
    with pytest.raises(RecipeError, match=r"draft: the member's task is concepts"):
        check(recipe(members={**MEMBERS, "draft": tagger}), tmp_path / "other")

    member = recipe(members={**MEMBERS, "concepts": tagger}).members()["concepts"]
    assert isinstance(member, Recipe)
    finished = {"run": fit(member, tmp_path / "tagger").path.as_posix()}
    check(recipe(members={**MEMBERS, "concepts": finished}), tmp_path / "again")
    data = member.data.model_copy(update={"limit": {"train": 2}})
    fewer = member.model_copy(update={"data": data})
    finished = {"run": fit(fewer, tmp_path / "fewer").path.as_posix()}
    with pytest.raises(RunError, match="fitted on other data than this recipe's training split"):
        check(recipe(members={**MEMBERS, "concepts": finished}), tmp_path / "never")


TRAINED = {"tiny": True, "kind": "seq2seq", "training": {"max_steps": 2, "batch": 2}}


def test_trap_train_and_inference_prompts_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt: list[Dialogue] = []
    monkeypatch.setattr(Text, "fit", lambda _, lesson, run: learnt.extend(lesson.train))
    whole = recipe("trained_synthesizer", folds=2, neighbours=2, **TRAINED)
    run, learner = Run.create(tmp_path / "run", whole), build(whole.model)
    train = list(dialogues(whole.data, "train"))
    run.note(data={"train": {"sha256": ""}})
    drafts = [Prediction.of(one, Answer(f"draft {at}")) for at, one in enumerate(train)]
    learner.fit(Lesson(train, answers={"draft": drafts}), run)
    assert len(learnt) == 6
    asked = SynthesizedAnswers(
        briefing_of(run, learner.settings),  # type: ignore[attr-defined]
        {"draft": Listed(drafts), "writer": (writer := Scripted())},
    )
    answers = asked.predict(train, Decoding())
    assert writer.prompts == learnt
    for answer, prompt in zip(answers, learnt, strict=True):
        assert prompt.question.answers == answer.references
        # Trap: nothing of the case itself, or of its patient, is among what it learns from.
        assert answer.case not in {one.case for one in answer.neighbours}


@pytest.mark.slow
def test_trained_it_learns_from_answers_out_of_fold(tmp_path: Path) -> None:
    run = fit(recipe("trained_synthesizer", folds=2, neighbours=2, **TRAINED), tmp_path / "run")
    folder = run.path / "members" / "draft" / "folds"
    assert {path.name for path in folder.iterdir()} == {"0", "1", "predictions.jsonl"}
    assert predict(run) == 2


def test_trained_it_needs_folds(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="must be out of fold"):
        fit(recipe("trained_synthesizer", **TRAINED), tmp_path / "run")
    short = {**TRAINED, "max_length": 64}
    with pytest.raises(ModelError, match="do not fit into 64"):
        fit(recipe("trained_synthesizer", folds=2, **short), tmp_path / "run")
    assert not (tmp_path / "run").exists()
