"""A saved run's predictions, served as a model: what was answered once is not computed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding, Frozen
from vesalius.run import Run, read_predictions
from vesalius.system.files import write_atomic

FILE = "predictions.jsonl"


class ReplaySettings(Frozen):
    """Whose answers are given again."""

    predictions: str
    """A file of predictions, a run's or anybody's (see the guide to reports); or a run's folder,
    for those of its test split."""


@dataclass(frozen=True, slots=True)
class SavedAnswers:
    """Answers by dialogue, and by question and picture."""

    needs_image: ClassVar[bool] = True

    known: Mapping[str | tuple[str, str | None], Prediction]

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """The saved answer to each dialogue, with its confidence, scores and evidence.

        Looked up by the dialogue's id, if the question is the same, else by question and key of
        the picture. ModelError names a dialogue that was not asked: nothing is guessed.
        """
        del decoding  # nothing is generated
        rows = zip(dialogues, require_pictures(dialogues), strict=True)
        return [self._prediction(dialogue, picture.key) for dialogue, picture in rows]

    def _prediction(self, dialogue: Dialogue, picture: str) -> Prediction:
        key = (plain(dialogue.question.text), picture)
        saved = self.known.get(dialogue.id)
        if saved is None or plain(saved.question) != key[0]:
            saved = self.known.get(key)
        if saved is None:
            hint = "predict this data set with that run first"
            raise ModelError("no saved answer to this question", where=dialogue.id, hint=hint)
        fresh = Prediction.of(dialogue, saved.answer)
        return replace(
            fresh,
            confidence=saved.confidence,
            scores=saved.scores,
            evidence=saved.evidence,
            abstained=saved.abstained,
            finish=saved.finish,
            usage=saved.usage,
        )


@dataclass(frozen=True, slots=True)
class Replay:
    """Gives the answers of a saved run again: a model that others may wrap without its weights."""

    Settings: ClassVar[type[ReplaySettings]] = ReplaySettings
    needs_image: ClassVar[bool] = True
    foldable: ClassVar[bool] = False

    settings: ReplaySettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Copy the predictions, so that the run stands alone; the data teach nothing."""
        require_pictures(lesson.train)
        path = Path(self.settings.predictions)
        path = path / FILE if path.is_dir() else path
        if not path.exists():
            hint = "vesalius predict writes them"
            raise RunError("there are no predictions to replay", where=path, hint=hint)
        _by_question(path)
        run.weights.mkdir(exist_ok=True)
        write_atomic(run.weights / FILE, path.read_bytes())

    def load(self, run: Run) -> SavedAnswers:
        """The saved answers of a run; RunError if its file holds none."""
        return SavedAnswers(_by_question(run.weights / FILE))


def _by_question(path: Path) -> dict[str | tuple[str, str | None], Prediction]:
    answers: dict[str | tuple[str, str | None], Prediction] = {}
    for one in read_predictions(path):
        answers[one.id] = one
        answers.setdefault((plain(one.question), one.picture), one)
    if not answers:
        raise RunError("holds no predictions to replay", where=path)
    return answers


def plain(question: str) -> str:
    """A question without its blanks, which carry no meaning."""
    return " ".join(question.split())
