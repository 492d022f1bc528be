"""Predict: answers to a split, or to one picture, from a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.cases.case import Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import View
from vesalius.errors import Refusal
from vesalius.language.script import is_blank
from vesalius.models import Model
from vesalius.models.feature_cache import with_shared_features
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.steps.answer_set import AnswerSet, Key, Ledger
from vesalius.steps.load import load
from vesalius.steps.parity import gate
from vesalius.steps.request import Request, set_name
from vesalius.system.pace import progress

log = logging.getLogger(__name__)


@with_shared_features
def predict(
    run: Run,
    *,
    split: str | None = None,
    name: str = "",
    change: str | None = None,
    limit: int | None = None,
    history: str | None = None,
    model: Model | None = None,
    asked_of: str = "",
) -> int:
    """Answer every dialogue of a split (by default the test split) and return how many there are.

    Answers are appended as they come, and those already there are not asked again, so a killed
    prediction goes on; in the end they stand in the order of the data. What is asked has the words
    of :class:`~vesalius.steps.request.Request`; ``name`` is the set of predictions, by default
    after history and perturbation. RunError if the set of that name was made in another way;
    RecipeError where nothing of the split can have the change; ModelError for a question about more
    pictures than the model looks at, before anything is asked.
    """
    request = Request.of(run, split, change, history, limit, asked_of)
    name = name or set_name(history, change)
    answers = AnswerSet(run, name, request.facts())
    answerer = model or load(run)
    request.connect(answerer, answers.answers)
    gate(run)
    answers.begin()
    with progress(f"answering {run.name}" + (f" ({name})" if name else "")) as bar:
        task = bar.add_task("", done=len(answers.answers))
        for _ in request.answers(answerer, request.dialogues(), answers):
            bar.update(task, done=len(answers.answers))
    return answers.finish()


@dataclass(frozen=True, slots=True)
class SplitQuestions:
    """A request to a run, of which each piece is asked together: what its workers share."""

    run: Run
    request: Request
    name: str

    @classmethod
    def of(cls, run: Run, split: str | None = None, *how: Any, name: str = "") -> SplitQuestions:
        """As :meth:`Request.of <vesalius.steps.request.Request.of>`; ``name`` is the set's."""
        request = Request.of(run, split, *how)
        return cls(run, request, name or set_name(request.history, request.change))

    @property
    def work(self) -> str:
        """What is done, and with which set."""
        return f"predict-{self.name}" if self.name else "predict"

    @property
    def unit(self) -> int:
        """Dialogues that are handed to the model together."""
        return self.request.size

    def sets(self) -> dict[str, dict[str, Any]]:
        """The one set of answers, and what it is of."""
        return {self.name: self.request.facts()}

    def items(self) -> Iterator[Dialogue]:
        """The dialogues."""
        return self.request.dialogues()

    def keys(self, some: Sequence[Dialogue]) -> list[Key]:
        """The answers to a unit of dialogues."""
        return [Key(self.name, one) for one in self.request.ids(some)]

    def connect(self, model: Model) -> None:
        """See that the model can be asked."""
        self.request.connect(model, {})
        gate(self.run)

    def answers(
        self, model: Model, some: Sequence[Dialogue]
    ) -> Iterator[list[tuple[str, Prediction]]]:
        """The answers to some whole units, as they come."""
        for rows in self.request.answers(model, some, Ledger()):
            yield [(self.name, row) for row in rows]


def ask(
    run: Run,
    image: Path | str,
    question: str | None = None,
    *,
    frame: int | None = None,
    window: tuple[float, float] | None = None,
    decoding: Decoding | None = None,
    model: Model | None = None,
) -> Prediction:
    """The run's answer to one question about one picture file; without a question, a caption.

    ``frame`` counts from 0; ``window`` is a DICOM's (centre, width) in modality units; ``model`` is
    the run's own where it is loaded already. Raises ImageError where the picture has no such frame,
    Refusal for a question of blanks.
    """
    if question and is_blank(question):
        raise Refusal("question_empty", "the question is empty")
    image = Path(image)
    picture = Picture.from_file(image).at(View(frame, window))
    for remark in picture.decoded().warnings:  # a bad file is refused before the model is loaded
        log.warning("the picture: %s", remark)
    recipe = run.recipe()
    turn = Turn(Question(question or recipe.data.instruction), (picture,))
    dialogue = Dialogue(image.name, (turn,), group=image.name, case=image.name)
    return (model or load(run)).predict([dialogue], decoding or recipe.decoding)[0]
