"""One of a run's prediction sets while it is answered: resumed, never mixed, put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, NamedTuple

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.run import Run
from vesalius.steps.prepare import twin

FACTS = ("split", "change", "history", "model")
"""What makes two sets of answers to the same questions different."""


class Key(NamedTuple):
    """An answer among those of several sets."""

    set: str
    id: str


class Ledger:
    """Which dialogues were met, in the data's order, and the answers there are, by id."""

    def __init__(self, answers: Mapping[str, Answer] | None = None) -> None:
        self.answers: dict[str, Answer] = dict(answers or {})
        self._order: dict[str, None] = {}

    def lacks(self, dialogue: Dialogue) -> bool:
        """Whether a dialogue, met in the data's order, is to be answered yet.

        DatasetError for an id that was met before: its answer would be taken for the other's.
        """
        self.meet(dialogue.id)
        return dialogue.id not in self.answers

    def meet(self, name: str) -> None:
        """Note that the id is the next in the data's order; DatasetError if it was met before."""
        if name in self._order:
            raise twin(name)
        self._order[name] = None

    def append(self, predictions: list[Prediction]) -> None:
        """Keep the answers of predictions."""
        self.answers.update((row.id, row.answer) for row in predictions)


class AnswerSet(Ledger):
    """The answers of a set, by id, those that are there already among them.

    ``facts`` says what the set is of (:data:`FACTS`). RunError if one of that name was begun from
    something else.
    """

    def __init__(self, run: Run, name: str, facts: Mapping[str, Any]) -> None:
        self.run, self.name, self._facts = run, name, dict(facts)
        _refuse_mixing(run, name, facts)
        there = run.predicted(name)
        rows = run.predictions(name) if there else ()
        super().__init__({row.id: row.answer for row in rows})

    def begin(self) -> None:
        """Note in the run that the set is there, and not complete."""
        self.run.note_predictions(self.name, n=len(self.answers), complete=False, **self._facts)

    def append(self, predictions: list[Prediction]) -> None:
        """Keep predictions, in the file and here."""
        self.run.append(predictions, self.name)
        super().append(predictions)

    def finish(self) -> int:
        """Put the rows in the order of the data, note that the set is complete; how many it has."""
        whole = list(self._order | dict.fromkeys(self.answers))
        if list(self.answers) != whole:  # one that failed was answered after some that follow it
            self.run.order_predictions(whole, self.name)
        counts = counted(self.run, self.name)
        facts = {**self._facts, "counts": counts} if counts else dict(self._facts)
        if (file := self.run.predictions_file(self.name)).exists():
            facts["sha256"] = sha256(file.read_bytes()).hexdigest()
        self.run.note_predictions(self.name, n=len(self.answers), complete=True, **facts)
        return len(self.answers)


def counted(run: Run, name: str = "") -> dict[str, int]:
    """What was counted of the answers in a set, added up; empty where nothing was."""
    total: Counter[str] = Counter()
    for prediction in run.predictions(name) if run.predictions_file(name).exists() else ():
        total.update(prediction.notes or {})
    return dict(sorted(total.items()))


def unanswered(of: Ledger, dialogues: Iterator[Dialogue]) -> Iterator[Dialogue]:
    """Those of the dialogues that the set lacks when each is reached."""
    return (dialogue for dialogue in dialogues if of.lacks(dialogue))


def _refuse_mixing(run: Run, name: str, facts: Mapping[str, Any]) -> None:
    """RunError if a set of this name was begun from something else."""
    noted = run.status().get("predictions", {}).get(name or "test")
    if noted is not None and any(noted.get(key) != facts.get(key) for key in FACTS):
        other = ", ".join(f"{key} {noted[key]}" for key in FACTS if noted.get(key) is not None)
        hint = "choose another --name"
        raise RunError(
            f"the predictions {name or 'test'!r} are of {other}", where=run.path, hint=hint
        )
