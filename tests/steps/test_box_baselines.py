"""The baselines of the comparison page: in boxes, and in words where words are asked for."""

from __future__ import annotations

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.steps.box_baselines import TrainingBoxes, box_baselines

TRAINING = TrainingBoxes("nodule", (0.5, 0.5, 0.25, 0.25))
BOX = Box(0, 0, 10, 10, "nodule")


def asked(name: str, question: str, reference: str | None) -> Prediction:
    references = (Answer(text=reference, boxes=(BOX,)),)
    return Prediction(name, Answer("?"), question, references, picture="p")


def test_a_question_in_words_is_answered_in_words_by_the_same_boxes() -> None:
    predictions = [
        asked("1", "Is there any nodule in this image?", "yes"),
        asked("2", "In which quarter of the image is the nodule: upper left, ...?", "upper left"),
        asked("3", "What modality is this?", "ct"),
        asked("4", "Mark what you see.", None),
    ]
    systems = box_baselines(predictions, {"p": (100, 100)}, TRAINING)
    said = {one.name: [p.answer.text for p in one.predictions] for one in systems}
    # The mean box lies from 50 to 75 of 100; that of the whole picture has its centre at 50, 50.
    assert said == {
        "mean box": ["yes", "lower right", "", None],
        "always": ["yes", "lower right", "", None],
        "never": ["no", "none", "", None],
    }
    assert all(p.answer.boxes is not None for one in systems for p in one.predictions)


def test_without_sizes_there_is_only_never_and_without_boxes_nothing() -> None:
    one = asked("1", "Is there any nodule in this image?", "yes")
    assert [system.name for system in box_baselines([one], {}, TRAINING)] == ["never"]
    bare = Prediction("1", Answer("?"), "what?", (Answer("ct"),))
    assert box_baselines([bare], {}, TRAINING) == []
