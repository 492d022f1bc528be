"""A detector asked in words: what is answered, with which boxes, and what is left unanswered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image
from typer.testing import CliRunner

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.cli.main import app
from vesalius.cli.models import lines_of
from vesalius.combine.box_answers import BoxAnswersSettings, WordedBoxes, labels_of
from vesalius.combine.box_hints import BoxHintsSettings, HintedAnswers, hint
from vesalius.errors import ModelError, RunError
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.models import Model
from vesalius.models.build import build
from vesalius.recipe import Decoding, Recipe, load_recipe
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.tiny import tiny

SURE = Box(10, 60, 20, 20, "tumor", score=0.8)
UNSURE = Box(150, 5, 20, 20, "tumor", score=0.3)


class Detector:
    """Marks the same in every picture; its point lies between its two boxes."""

    needs_image: ClassVar[bool] = True

    def __init__(self, *boxes: Box, point: float | None = 0.5) -> None:
        self.boxes, self.point, self.asked = boxes, point, list[Dialogue]()

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        self.asked += dialogues
        surest = max((box.score or 0.0 for box in self.boxes), default=0.0)
        sure = Confidence(surest, "calibrated")
        more: dict[str, Any] = {"confidence": sure, "operating_point": self.point}
        return [Prediction.of(one, Answer(boxes=self.boxes), **more) for one in dialogues]


class Reader:
    """Repeats the question."""

    needs_image: ClassVar[bool] = True

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        return [Prediction.of(one, Answer(text=one.question.text)) for one in dialogues]


def picture() -> Picture:
    file = BytesIO()
    Image.new("RGB", (200, 100)).save(file, "PNG")
    return Picture("p", file.getvalue)


def question(text: str, *references: Answer) -> Dialogue:
    turn = Turn(Question(text, answers=references), (picture(),))
    return Dialogue("1/q", (turn,), group="g", case="1")


def asked(model: Model, text: str) -> Prediction:
    (answer,) = model.predict([question(text)], Decoding())
    return answer


def worded(detector: Model) -> WordedBoxes:
    return WordedBoxes(BoxAnswersSettings(), {"detector": detector}, ("tumor",))


@pytest.mark.parametrize(
    ("text", "answer", "sure"),
    [
        ("Is there a tumour?", "yes", 0.8),
        ("How many tumors are there?", "1", 0.8),  # that of .3 is below the point
        ("Where is the tumor?", "lower left", 0.8),
        ("Is this normal?", "no", 0.8),
    ],
)
def test_boxes_at_the_operating_point_answer(text: str, answer: str, sure: float) -> None:
    said = asked(worded(Detector(SURE, UNSURE)), text)
    assert (said.text, said.question, said.operating_point) == (answer, text, 0.5)
    assert said.confidence == Confidence(sure, "calibrated")
    assert said.answer.boxes == (SURE, UNSURE)  # the whole answer
    (member,) = said.member_answers
    assert (member.member, member.answer.boxes) == ("detector", (SURE,))


def test_a_denial_is_as_sure_as_the_surest_box_is_not() -> None:
    said = asked(worded(Detector(UNSURE)), "Is there a tumor?")
    assert (said.text, said.confidence) == ("no", Confidence(0.7, "calibrated"))
    said = asked(worded(Detector(UNSURE, point=None)), "Is there a tumor?")
    assert said.text == "yes"  # no point was chosen: every box counts


def test_what_boxes_cannot_answer_is_abstained_from_and_counted() -> None:
    said = asked(worded(Detector(SURE)), "What modality is this?")
    assert (said.text, said.abstained, said.confidence) == ("", True, None)
    assert said.notes == {"not_about_boxes": 1}


def test_the_detector_sees_the_picture_alone_under_its_own_instruction() -> None:
    detector = Detector(SURE)
    first = question("Is there a tumor?").turns[0]
    earlier = replace(first, reply=Answer(text="yes"))
    later = Dialogue("1/2", (earlier, Turn(Question("Where is the tumor?"))), group="g", case="1")
    (said,) = worded(detector).predict([later], Decoding())
    assert said.text == "lower left"
    ((turn,),) = [one.turns for one in detector.asked]
    assert (turn.question.text, len(turn.pictures)) == ("Mark what you see.", 1)


def test_a_member_without_boxes_or_labels_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^1/q: the member detector answers without boxes"):
        asked(worded(Reader()), "Is there a tumor?")
    assert labels_of(Detector(SURE)) == ()
    learner = build({"name": "box_answers", "members": {"detector": {"name": "nanodet"}}})
    with pytest.raises(ModelError, match=r"the detector does not say its labels \(name them"):
        learner.load(Run(tmp_path), members={"detector": Detector(SURE)})  # type: ignore[call-arg]


def test_boxes_are_printed_in_words() -> None:
    said = asked(worded(Detector(SURE, UNSURE)), "Is there a tumor?").at_operating_point()
    assert lines_of(said) == ["yes", "tumor 0.80: left 10, top 60, width 20, height 20 pixels"]
    nothing = Prediction("1", Answer(boxes=()))
    assert lines_of(nothing) == ["(nothing is marked)"]
    assert lines_of(Prediction("1", Answer(""))) == ["(no answer)"]


def hinted(hints: str | bool, *boxes: Box, references: tuple[Answer, ...] = ()) -> Prediction:
    settings = BoxHintsSettings.model_validate({"hints": hints})
    model = HintedAnswers(settings, {"detector": Detector(*boxes), "reader": Reader()})
    (answer,) = model.predict([question("Where?", *references)], Decoding())
    assert answer.question == "Where?"
    return answer


def test_hints_are_words_before_the_question() -> None:
    said = hinted("predicted", SURE, UNSURE)
    # 10 of 200 is 5 %, 30 of 200 15 %; 60 to 80 of 100
    place = "tumor from 5% to 15% of the width and 60% to 80% of the height"
    assert said.text == f"Marked in this image: {place}. Where?"
    assert said.notes == {"hinted_boxes": 1}
    assert said.member_answers[0].answer.boxes == (SURE,)
    assert hinted("predicted").text == "Marked in this image: nothing. Where?"


def test_true_hints_are_those_of_the_references() -> None:
    true = Box(0, 0, 100, 50, "tumor")
    for value in ("true", True):  # as YAML reads it
        said = hinted(value, SURE, references=(Answer(text="here", boxes=(true,)),))
        assert said.text == f"{hint([true], (200, 100))} Where?"
    without = hinted("true", SURE, references=(Answer(text="here"),))
    assert (without.text, without.notes) == ("Where?", {"no_hint": 1})


def test_random_hints_are_as_many_of_the_same_size_and_always_the_same() -> None:
    said = hinted("random", SURE)
    (box,) = said.member_answers[0].answer.boxes or ()
    assert (box.width, box.height, box.label) == (20, 20, "tumor")
    assert (box.x, box.y) != (SURE.x, SURE.y)
    assert 0 <= box.x <= 180
    assert 0 <= box.y <= 80
    assert hinted("random", SURE).text == said.text


def test_a_finished_detector_answers_questions_that_it_was_not_fitted_with(
    tmp_path: Path,
) -> None:
    cases = {"cases": {"train": 12, "validation": 4, "test": 4}, "size": 48}
    asked = {**cases, "box_questions": {"labels": ["nodule"]}}
    training = {"max_steps": 2, "batch": 2}
    network = {"name": "nanodet", "size": "tiny", "image_size": 64, "training": training}

    def recipe(name: str, task: str, options: dict[str, Any], model: dict[str, Any]) -> Recipe:
        data = {"dataset": "phantom", "task": task, "options": options}
        return Recipe.model_validate({"name": name, "data": data, "model": model})

    fit(recipe("detector", "detect", cases, network), tmp_path / "detector")
    model = {"name": "box_answers", "members": {"detector": {"run": str(tmp_path / "detector")}}}
    run = fit(recipe("words", "vqa", asked, model | {"labels": ["nodule"]}), tmp_path / "words")
    assert predict(run) > 0
    assert {one.text for one in run.predictions() if one.category == "presence"} <= {"yes", "no"}
    # At a command line: what it cannot tell is no silence, and boxes stand in words.
    file = tmp_path / "p.png"
    file.write_bytes(picture().read())
    for text, line in (
        ("Is it malignant?", "(no answer: the model abstained)"),
        ("Is there a nodule?", "no"),
    ):
        done = CliRunner().invoke(app, ["ask", str(file), text, "--run", str(run.path)])
        assert done.stdout.splitlines()[0] == line
    # Cases that it did not learn from may hold those it is asked about now.
    others = {**asked, "seed": 1}
    with pytest.raises(RunError, match="was fitted on other data"):
        fit(recipe("words", "vqa", others, model), tmp_path / "others")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["box-answers", "box-hints"])
def test_the_example_runs_whole_when_tiny(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    recipe = load_recipe(Path(__file__).parents[2] / "examples" / f"{name}.yaml")
    run = fit(tiny(recipe), tmp_path / "run")
    predict(run)
    rows = list(run.predictions())
    assert {one.category for one in rows} <= {"presence", "count", "side", "place", "size"}
    assert all(one.member_answers[0].member == "detector" for one in rows)
    assert evaluate_run(run).facts["predictions"] == len(rows)
