"""A wrapper that learns: which member was right most often, in answers it was not fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.models import Lesson, Model, Wraps
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_json


class Nothing(Frozen):
    """Nothing to set."""


@dataclass(frozen=True)
class Chosen:
    model: Model

    @property
    def needs_image(self) -> bool:
        return self.model.needs_image

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        return [replace(one, evidence=()) for one in self.model.predict(dialogues, decoding)]


@dataclass(frozen=True)
class Stacker:
    Settings: ClassVar[type[Nothing]] = Nothing
    needs_image: ClassVar[bool] = False
    wraps: ClassVar[Wraps] = Wraps(least=1, learns=True)

    settings: Nothing

    def fit(self, lesson: Lesson, run: Run) -> None:
        truth = [dialogue.question.answers[0].text for dialogue in lesson.train]
        right = {
            key: sum(one.text == text for one, text in zip(answers, truth, strict=True))
            for key, answers in lesson.answers.items()
        }
        write_json(run.weights / "right.json", right)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> Chosen:
        right = read_json(run.weights / "right.json")
        return Chosen(members[max(right, key=right.__getitem__)])
