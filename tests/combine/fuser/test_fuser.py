"""The fuser: lessons, prompts, evidence, refusals; on stored answers of members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vesalius import Answer, Dialogue, Prediction, Question, Recipe, Run, Turn
from vesalius.cases.prediction import Confidence
from vesalius.combine.fuser.candidates import Stored
from vesalius.combine.fuser.learner import Fuser, Fusion
from vesalius.errors import ModelError, RecipeError, TooLong, UnknownName
from vesalius.models import Lesson, parts
from vesalius.models.build import build
from vesalius.recipe import Data, Decoding
from vesalius.steps.tiny import tiny

GREEDY = Decoding(max_new_tokens=4, batch=2)
TRUTHS = ["a mass in the lung", "no finding", "a cyst in the liver", "a mass in the liver"]
NAMES = ("organ", "finding")
TRAINING = {"max_steps": 1, "batch": 2}


def asked(number: int, truth: str) -> Dialogue:
    question = Question("Describe.", answers=(Answer(truth),))
    return Dialogue(f"d{number}", (Turn(question),), f"g{number}", f"c{number}")


DIALOGUES = [asked(number, truth) for number, truth in enumerate(TRUTHS)]


def answers(*texts: str, **more: Any) -> list[Prediction]:
    pairs = zip(DIALOGUES, texts, strict=True)
    sure = Confidence(0.5, "half")
    return [Prediction.of(d, Answer(text), confidence=sure, **more) for d, text in pairs]


SAID = {
    "organ": answers("lung", "no finding", "liver", "liver"),
    "finding": answers("a mass", "", "a cyst", "a mass"),
}


def block(**more: Any) -> dict[str, Any]:
    members = {name: {"name": "majority"} for name in NAMES}
    model = {"name": "fuser", "tiny": True, "kind": "seq2seq", "training": TRAINING}
    return {**model, "members": members, **more}


def begun(folder: Path, **more: Any) -> Run:
    data = Data(dataset="none", task="caption")
    recipe = Recipe(name="f", data=data, model=block(**more), folds=2)
    return Run.create(folder / "run", recipe)


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., Run]:
    return lambda **more: begun(tmp_path, **more)


def stored(columns: dict[str, list[Prediction]] = SAID) -> dict[str, Stored]:
    return {name: Stored.of(column) for name, column in columns.items()}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Fusion]:
    run = begun(tmp_path_factory.mktemp("learned"))
    learner: Any = build(run.recipe().model)
    learner.fit(Lesson(DIALOGUES, answers=SAID), run)
    return run, learner.load(run, members=stored())


def test_it_learns_from_members_answers_and_says_who_answered_what(
    learned: tuple[Run, Fusion],
) -> None:
    run, model = learned
    assert run.status()["candidates"] == 8
    assert run.status()["empty_candidates"] == 1
    replies = model.predict(DIALOGUES, GREEDY)
    assert [one.id for one in replies] == [d.id for d in DIALOGUES]
    for place, (reply, dialogue) in enumerate(zip(replies, DIALOGUES, strict=True)):
        assert reply.question == "Describe."  # its own, not the prompt
        assert reply.references == dialogue.question.answers
        assert [one.member for one in reply.member_answers] == list(NAMES)
        told = [one.answer.text for one in reply.member_answers]
        assert told == [SAID[name][place].text for name in NAMES]
        assert reply.confidence is not None
        assert not reply.abstained
    assert [one.notes for one in replies] == [None, {"empty_candidates": 1}, None, None]
    assert list(parts(model))[1:] == list(model.members.values())


def test_trap_train_and_inference_prompts_differ(
    new_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    from vesalius.models.text_only.learner import Text

    monkeypatch.setattr(
        Text, "fit", lambda _, lesson, run: seen.append([d.question.text for d in lesson.train])
    )
    learner: Any = build(block())
    run = new_run()
    learner.fit(Lesson(DIALOGUES, answers=SAID), run)

    class Writer:
        def predict(self, dialogues: list[Dialogue], decoding: Decoding) -> list[Prediction]:
            seen.append([d.question.text for d in dialogues])
            return [Prediction.of(d, Answer("x")) for d in dialogues]

    Fusion(learner.settings, Writer(), stored()).predict(DIALOGUES, GREEDY)  # type: ignore[arg-type]
    assert seen[0] == seen[1]
    assert seen[0][1].endswith("1. no finding 2. (empty)")


def test_streamed_pieces_end_in_what_is_predicted(learned: tuple[Run, Fusion]) -> None:
    _, model = learned
    replies = model.predict(DIALOGUES, GREEDY)
    last = {at: one for at, one in model.stream(DIALOGUES, GREEDY) if isinstance(one, Prediction)}
    for place, reply in enumerate(replies):
        assert last[place].text == reply.text
        assert last[place].evidence == reply.evidence


class Silent:
    """A writer that abstains."""

    def predict(self, dialogues: list[Dialogue], decoding: Decoding) -> list[Prediction]:
        return [Prediction.of(d, Answer("x"), abstained=True) for d in dialogues]


def test_it_abstains_where_its_writer_does() -> None:
    learner: Any = build(block())
    replies = Fusion(learner.settings, Silent(), stored()).predict(DIALOGUES, GREEDY)  # type: ignore[arg-type]
    assert all(one.abstained for one in replies)


def test_a_rehearsal_has_as_many_candidates_as_there_are_members() -> None:
    learner: Any = build(block())
    learner.check_members(dict.fromkeys(["one", "two", "three"]))
    truth = TRUTHS[0]
    assert learner.imagined(DIALOGUES)[0].question.text.endswith(
        f"1. {truth} 2. {truth} 3. {truth}"
    )


def test_a_member_that_is_used_twice_is_refused() -> None:
    with pytest.raises(RecipeError, match="use names a member twice"):
        build(block(use=["organ", "organ"]))


def test_it_abstains_where_all_members_do(learned: tuple[Run, Fusion]) -> None:
    _, model = learned
    silent = {name: answers(*["?"] * 4, abstained=True) for name in NAMES}
    (reply, *_) = Fusion(model.settings, model.writer, stored(silent)).predict(DIALOGUES, GREEDY)
    assert reply.abstained
    assert reply.notes == {"abstained_candidates": 2}


def test_only_the_members_in_use_are_read(new_run: Callable[..., Run]) -> None:
    third = {**SAID, "third": answers("x", "x", "x", "x")}
    members = {name: {"name": "majority"} for name in third}
    run = new_run(use=["third", "organ"], members=members)
    learner: Any = build(run.recipe().model)
    learner.fit(Lesson(DIALOGUES, answers=third), run)
    model = learner.load(run, members=stored(third))
    (reply, *_) = model.predict(DIALOGUES, GREEDY)
    assert [one.member for one in reply.member_answers] == ["third", "organ"]
    with pytest.raises(UnknownName, match="'nobody'"):
        build(block(use=["organ", "nobody"])).check_members(dict.fromkeys(NAMES))  # type: ignore[attr-defined]


def test_members_that_disagree_on_ids_are_refused(new_run: Callable[..., Run]) -> None:
    other = {**SAID, "finding": SAID["finding"][::-1]}
    learner: Any = build(block())
    with pytest.raises(ModelError, match=r"^d0: the member finding answers d3 instead"):
        learner.fit(Lesson(DIALOGUES, answers=other), new_run())


def test_candidates_that_do_not_fit_are_refused_before_training(
    new_run: Callable[..., Run],
) -> None:
    long = {**SAID, "finding": answers("a mass", "no", "a cyst " * 300, "a mass")}
    run = new_run(max_length=200)
    learner: Any = build(run.recipe().model)
    with pytest.raises(TooLong, match=r"^d2: "):
        learner.fit(Lesson(DIALOGUES, answers=long), run)
    assert not (run.weights / "model").exists()


def test_validation_reads_members_stored_answers(new_run: Callable[..., Run]) -> None:
    scored: list[list[str]] = []

    def validate(model: Any) -> float:
        replies = model.predict(DIALOGUES[:2], GREEDY)
        scored.append([one.answer.text for one in replies[0].member_answers])
        return 0.5

    run = new_run(training={**TRAINING, "validate_every": 1})
    first = {name: column[:2] for name, column in SAID.items()}
    lesson = Lesson(DIALOGUES, validate=validate, answers=SAID, validation_answers=first)
    build(run.recipe().model).fit(lesson, run)
    assert scored == [["lung", "a mass"]]


def test_boost_needs_no_lesson_and_makes_candidates_words_likelier(
    new_run: Callable[..., Run],
) -> None:
    run = new_run(method="boost", bonus=1000.0)
    learner: Any = build(run.recipe().model)
    assert learner.wraps.learns is False
    learner.fit(Lesson(DIALOGUES), run)
    model = learner.load(run, members=stored())
    replies = model.predict(DIALOGUES, Decoding(max_new_tokens=12, batch=2))
    for place, reply in enumerate(replies):
        words = " ".join(SAID[name][place].text for name in NAMES).split()
        # Under a bonus that outweighs the model every word is a candidate's, and the text ends.
        assert reply.finish == "stop"
        assert Counter("".join(reply.text.split())) <= Counter("".join(words))


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"members": {"one": {"name": "majority"}}}, "at least 2 members, not 1"),
        ({"roles": {"language": "frozen"}}, "method learn trains the language model"),
        ({"method": "boost", "roles": {"language": "full"}}, "method boost trains nothing"),
        ({"use": ["one"]}, "use"),
    ],
)
def test_what_cannot_be(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(RecipeError, match=line):
        build(block(**settings))


def test_trap_fuser_trained_on_captions_of_images_its_members_trained_on(tmp_path: Any) -> None:
    # The trap: the fuser trained on captions of images its base models had trained on.
    from vesalius.steps.fit import fit

    cases = {"train": 4, "validation": 1, "test": 1}
    data = {"dataset": "phantom", "task": "caption", "options": {"cases": cases, "size": 32}}
    whole = Recipe.model_validate({"name": "f", "data": data, "model": block()})
    with pytest.raises(RecipeError, match="must be out of fold"):
        fit(whole, tmp_path / "run")


def test_the_tiny_form_keeps_instruction_and_members() -> None:
    model = block(instruction="Say.", training={"epochs": 4})
    del model["tiny"], model["kind"]
    data = {"dataset": "phantom", "task": "caption"}
    whole = {"name": "f", "data": data, "model": {**model, "weights": "google/flan-t5-large"}}
    small = tiny(Recipe.model_validate({**whole, "folds": 5}))
    assert (small.model["kind"], small.model["instruction"]) == ("seq2seq", "Say.")
    assert small.folds == 2
    assert set(small.model["members"]) == set(NAMES)
    assert isinstance(build(small.model), Fuser)
