"""A saved run's predictions, served as a model: what was answered once is not computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding
from vesalius.run import Run, read_predictions
from vesalius.settings import Frozen
from vesalius.system.files import write_atomic

FILE = "predictions.jsonl"
Key = str | tuple[str, str | None] | tuple[str]
"""A dialogue's id; a question and its picture's key; a question alone."""


class ReplaySettings(Frozen):
    """Whose answers are given again."""

    predictions: str
    """A file of predictions, a run's or anybody's (see the guide to reports); or a run's folder,
    for those of its test split."""


@dataclass(frozen=True, slots=True)
class SavedAnswers:
    """Saved predictions, found again by one rule.

    That of the dialogue's id, if the question is the same; else that of question and key of the
    picture; else, where ``any_picture`` allows it, the first to that question. The last is for
    looking at a page with pictures of one's own, never for measuring.
    """

    needs_image: ClassVar[bool] = True

    known: Mapping[Key, Prediction]
    any_picture: bool = False

    @classmethod
    def read(cls, path: Path, *, any_picture: bool = False) -> Self:
        """The predictions in a file, or in a run's folder; RunError if there are none."""
        path = predictions_file(path)
        known: dict[Key, Prediction] = {}
        for one in read_predictions(path):
            question = plain(one.question)
            known[one.id] = one
            known.setdefault((question, one.picture), one)
            known.setdefault((question,), one)
        if not known:
            raise RunError("holds no predictions to replay", where=path)
        return cls(known, any_picture)

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """The saved prediction for each dialogue, whole, with that dialogue's references.

        ModelError names a dialogue that was not asked: nothing is guessed.
        """
        del decoding  # nothing is generated
        require_pictures(dialogues)
        return [self._prediction(dialogue) for dialogue in dialogues]

    def find(self, dialogue: Dialogue) -> Prediction | None:
        """The saved prediction for a dialogue, as its own; None if it was not asked."""
        question = plain(dialogue.question.text)
        saved = self.known.get(dialogue.id)
        if saved is None or plain(saved.question) != question:
            key = None if dialogue.picture is None else dialogue.picture.key
            saved = self.known.get((question, key))
        if saved is None and self.any_picture:
            saved = self.known.get((question,))
        return None if saved is None else saved.as_of(dialogue)

    def _prediction(self, dialogue: Dialogue) -> Prediction:
        prediction = self.find(dialogue)
        if prediction is None:
            hint = "predict this data set with that run first"
            raise ModelError("no saved answer to this question", where=dialogue.id, hint=hint)
        return prediction


@dataclass(frozen=True, slots=True)
class Replay:
    """Gives the answers of a saved run again: a model that others may wrap without its weights."""

    Settings: ClassVar[type[ReplaySettings]] = ReplaySettings
    needs_image: ClassVar[bool] = True
    foldable: ClassVar[bool] = False
    computes: ClassVar[bool] = False

    settings: ReplaySettings

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data are read, predictions that are not there."""
        del validated  # nothing is chosen
        predictions_file(Path(self.settings.predictions))

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Copy the predictions, so that the run stands alone; the data teach nothing."""
        require_pictures(lesson.train)
        path = predictions_file(Path(self.settings.predictions))
        SavedAnswers.read(path)
        run.weights.mkdir(exist_ok=True)
        write_atomic(run.weights / FILE, path.read_bytes())

    def load(self, run: Run) -> SavedAnswers:
        """The saved answers of a run; RunError if its file holds none."""
        return SavedAnswers.read(run.weights / FILE)


def predictions_file(path: Path) -> Path:
    """The file of predictions that a path names, itself or in a run; RunError if there is none."""
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        hint = "vesalius predict writes them"
        raise RunError("there are no predictions to replay", where=path, hint=hint)
    return path


def plain(question: str) -> str:
    """A question without its blanks, which carry no meaning."""
    return " ".join(question.split())
