"""Answers by many workers: shards of a run's questions, answered anywhere and joined to its sets.

A shard ends where a piece that is handed to the model together ends, so every batch is the batch of
one worker's prediction, and the rows are the same in all fields but ``usage``.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.models import Model
from vesalius.models.feature_cache import with_shared_features
from vesalius.run import Run
from vesalius.steps.answer_set import FACTS, AnswerSet, Key
from vesalius.steps.load import load
from vesalius.steps.predict import SplitQuestions
from vesalius.steps.prepare import twin
from vesalius.steps.probe import ProbeQuestions
from vesalius.steps.request import chunks
from vesalius.system.files import json_line, read_lines, replacing
from vesalius.system.pace import work_off
from vesalius.system.places import place
from vesalius.system.shards import Pieces, Row, Shards, shard_size

FOLDER = "shards"
SET = "set"
"""The key of a shard's row that names its set of answers."""


class Questions(Protocol):
    """What is asked of a run, as a stream of items in which every ``unit`` is asked together."""

    @property
    def run(self) -> Run:
        """Whose answers they are."""

    @property
    def work(self) -> str:
        """What is done, and the name of the folder of its shards."""

    @property
    def unit(self) -> int:
        """Items that are handed to the model together."""

    def sets(self) -> Mapping[str, Mapping[str, Any]]:
        """The sets of answers by name, each with what makes it another than others of its name."""

    def items(self) -> Iterator[Any]:
        """What is asked, streamed."""

    def keys(self, some: Sequence[Any]) -> list[Key]:
        """The answers to a unit of items, in the order in which they come."""

    def connect(self, model: Model) -> None:
        """See that the model can be asked, before anything is."""

    def answers(self, model: Model, some: Sequence[Any]) -> Iterator[list[tuple[str, Prediction]]]:
        """The answers to some whole units with their sets, as they come."""


class SharedAnswers:
    """The answers to questions, in shards that any number of processes make and one joins.

    ``at`` is the folder or fsspec URL for claims and shards, by default in the run's folder.
    ``model`` loads what answers, by default the run's own. RunError where the run is not fitted;
    each method raises it where the place holds shards of another version, recipe, fit or data.
    """

    def __init__(
        self,
        questions: Questions,
        at: str | None = None,
        model: Callable[[], Model] | None = None,
    ) -> None:
        self._questions, self._run = questions, questions.run
        self._run.require_fitted()
        self._keys = _Keys(questions)
        self._model = model or partial(load, self._run)
        self._at = at or self._run.path / FOLDER / questions.work
        self.what = f"answering {self._run.name}"

    @cached_property
    def shards(self) -> Shards:
        """What processes share; not looked at where the run has all answers already."""
        return Shards(place(self._at), self._keys.facts())

    def left(self) -> int:
        """How many shards have no result; none where the run has all answers already."""
        return 0 if self._keys.complete() else self.shards.left()

    @with_shared_features
    def work(self) -> int:
        """Answer shards of the questions until all are answered, by this process or others.

        Returns how many answers this one gave. The cost of what is left is told on standard error
        when the first 32 are answered, and what it was at the end. RunError where the place is full
        or does not answer: what is there stays, and the same call goes on.
        """
        if self._keys.complete():
            return 0
        models: list[Model] = []

        def ready() -> None:
            models.append(self._model())  # by the first shard: a job that is done needs no model
            self._questions.connect(models[0])

        def answers(items: list[Any]) -> Iterator[list[Row]]:
            for some in self._questions.answers(models[0], items):
                yield [{SET: name, **one.to_row()} for name, one in some]

        total = len(self._keys)
        return work_off(self.what, self.shards, self._pieces(), answers, total=total, ready=ready)

    def merge(self) -> int:
        """Join all shards to the run's sets of answers, in the data's order; how many they are.

        What a set has of other questions stays. RunError, and nothing changed, where a shard is
        missing or an answer is missing, there twice or not asked for: it names them.
        """
        keys = self._keys
        if self._keys.complete():
            return len(keys)
        self.shards.require_whole()
        run, sets, pieces = self._run, self._questions.sets(), self._pieces()
        for name, facts in sets.items():
            AnswerSet(run, name, facts)  # refused before anything is written
        with ExitStack() as stack:
            files = {
                name: stack.enter_context(replacing(run.predictions_file(name))) for name in sets
            }
            for number in range(self.shards.number):
                rows = self.shards.rows(number)
                _require_same(self.shards, number, rows, self._keys.of(pieces[number]))
                for row in rows:
                    files[row.pop(SET)].write(json_line(row).encode())
            for name, file in files.items():
                path = run.predictions_file(name)
                for _, row in read_lines(path) if path.exists() else ():
                    if Key(name, row["id"]) not in keys:
                        file.write(json_line(row).encode())
        for name, facts in sets.items():
            AnswerSet(run, name, facts).finish()
        return len(keys)

    def _pieces(self) -> Pieces[Any]:
        return Pieces(self._questions.items, self._keys.size)


def shared_split(
    run: Path,
    split: str | None = None,
    *how: Any,
    name: str = "",
    at: str | None = None,
    model: Callable[[], Model] | None = None,
) -> SharedAnswers:
    """The answers of a run's folder to a split; see :meth:`SplitQuestions.of`."""
    questions = SplitQuestions.of(Run.open(run), split, *how, name=name)
    return SharedAnswers(questions, at, model)


def shared_probe(run: Path, *, at: str | None = None, **how: Any) -> SharedAnswers:
    """The answers of a run's folder under changes; see :meth:`ProbeQuestions.of`."""
    return SharedAnswers(ProbeQuestions.of(Run.open(run), **how), at)


class _Keys:
    """Which answers are asked for, in order: one walk through the data, no picture opened.

    Of each answer's name a number is held, 8 bytes: there may be a hundred million, and many
    workers on a machine.
    """

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        digest, numbers, self.items = sha256(), array("Q"), 0
        for unit in self._units():
            self.items += len(unit)
            for key in questions.keys(unit):
                digest.update(json.dumps(key).encode())
                numbers.append(_number(key))
        self._numbers = np.sort(np.array(numbers, np.uint64))
        self._digest = digest.hexdigest()
        self._require_apart()
        self.size = shard_size(self.items, questions.unit)

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, key: Key) -> bool:
        number = np.uint64(_number(key))
        at = int(np.searchsorted(self._numbers, number))
        return at < len(self._numbers) and bool(self._numbers[at] == number)

    def _units(self) -> Iterator[list[Any]]:
        return chunks(self._questions.items(), self._questions.unit)

    def _require_apart(self) -> None:
        """DatasetError for two answers of one name; two names may have one number by chance."""
        several = self._numbers[1:][self._numbers[1:] == self._numbers[:-1]]
        doubtful, met = set(several.tolist()), set[Key]()
        if not doubtful:
            return
        for unit in self._units():
            for key in (one for one in self._questions.keys(unit) if _number(one) in doubtful):
                if key in met:
                    raise twin(key.id)
                met.add(key)

    def of(self, items: Sequence[Any]) -> list[Key]:
        """The answers to a shard's items."""
        unit = self._questions.unit
        parts = (items[at : at + unit] for at in range(0, len(items), unit))
        return [key for part in parts for key in self._questions.keys(part)]

    def facts(self) -> dict[str, Any]:
        """What makes this the same job as another worker's."""
        run = self._questions.run
        return {
            "work": self._questions.work,
            "recipe": run.recipe().digest(),
            "fitted": run.status().get("finished"),
            "sets": dict(self._questions.sets()),
            "items": self.items,
            "questions": self._digest,
            "size": self.size,
            "shards": -(-self.items // self.size),
        }

    def complete(self) -> bool:
        """Whether the run has all the answers, so that its shards may be gone."""
        run = self._questions.run
        noted = run.status().get("predictions", {})
        for name, facts in self._questions.sets().items():
            one = noted.get(name or "test", {})
            if not one.get("complete") or any(one.get(key) != facts.get(key) for key in FACTS):
                return False
        there = array("Q")
        for name in self._questions.sets():
            there.extend(_number(Key(name, one)) for one in run.predicted(name))
        return bool(np.isin(self._numbers, np.array(there, np.uint64)).all())


def _number(key: Key) -> int:
    """64 bits of a hash: among 10^8 names a stranger is taken for one of them once in 10^11."""
    return int.from_bytes(blake2b(json.dumps(key).encode(), digest_size=8).digest())


def _require_same(shards: Shards, number: int, rows: Sequence[Row], keys: Sequence[Key]) -> None:
    """RunError where a shard's rows are not the answers to its questions."""
    there = [Key(str(row.get(SET)), str(row.get("id"))) for row in rows]
    if there == keys:
        return
    twice = next((key for key, count in Counter(there).items() if count > 1), None)
    lost = next((key for key in keys if key not in there), None)
    foreign = next((key for key in there if key not in keys), None)
    what = (
        f"lacks the answer {lost.id!r}" if lost
        else f"holds the answer {twice.id!r} twice" if twice
        else f"holds {foreign.id!r}, which is not asked in it" if foreign
        else "holds its answers in another order"
    )  # fmt: skip
    hint = f"remove {number:06d}.jsonl; a worker makes it again"
    raise RunError(f"shard {number} {what}", where=str(shards), hint=hint)
