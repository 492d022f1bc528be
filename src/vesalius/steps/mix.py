"""Several data sets as one: which of them a split holds, and how often each is drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from vesalius.cases.case import Case
from vesalius.cases.dialogue import Dialogue
from vesalius.data.datasets import Dataset
from vesalius.data.open import open_dataset
from vesalius.errors import RecipeError
from vesalius.recipe import Data, Mix


@dataclass(frozen=True, slots=True)
class Part:
    """One data set of a recipe: its own (``mark`` is empty), or one that is mixed in.

    ``split`` is the one of its splits that is read, None for all. ``mark`` goes before ids and
    picture keys, and ``group_mark`` before groups, as two publishers' ids have nothing to do with
    each other; two parts of the same set have the same patients, so these are not told apart.
    """

    name: str
    data: Data
    split: str | None = None
    weight: float = 1.0
    mark: str = ""
    group_mark: str = ""

    def splits(self) -> tuple[str, ...]:
        """The one split that is read; none where it reads all."""
        return () if self.split is None else (self.split,)

    def cases(self, split: str) -> Iterator[Case]:
        """The part's cases in the recipe's ``split``, streamed."""
        own = self.split or split
        stream = islice(opened(self.data).cases(own), self.data.limit.get(own))
        return (self._marked(case, split) for case in stream) if self.mark else stream

    def _marked(self, case: Case, split: str) -> Case:
        pictures = (replace(p, key=self.mark + p.key) for p in case.pictures)
        return replace(
            case,
            id=self.mark + case.id,
            group=self.group_mark + case.group,
            pictures=tuple(pictures),
            split=split,
        )


def opened(data: Data) -> Dataset:
    """The data set that a data block names, without those mixed into it."""
    return open_dataset(data.dataset, data.root, data.hub, data.options)


def parts(data: Data, split: str | None = None) -> list[Part]:
    """The recipe's own set and those mixed into ``split`` (None: into any), in their order."""
    sets = [Part(data.dataset, data.model_copy(update={"mix": ()}))]
    roles = [role for role, name in data.splits.model_dump().items() if name == split]
    names = {_place(data): ""}
    for one in data.mix:
        name = one.name or one.dataset
        own = one.splits.model_dump()
        read = next((own[role] for role in roles if own[role] is not None), None)
        block = _block(data, one)
        group_mark = names.setdefault(_place(block), f"{name}:")
        if split is None or read is not None:
            sets.append(Part(name, block, read, one.weight, f"{name}:", group_mark))
    return sets


def weighted(dialogues: Sequence[Dialogue], data: Data, split: str) -> list[Dialogue]:
    """A split's dialogues, those of the training split as often as their set's weight says.

    A weight of 2.5 takes each twice, and half of them, drawn by ``data.seed``, once more; copies
    have ids of their own. The order is that of the sets; learners shuffle by the recipe's seed.
    RecipeError where a set holds nothing to learn from.
    """
    drawn: list[Dialogue] = []
    for part in parts(data, split):
        own = [dialogue for dialogue in dialogues if dialogue.dataset == part.name]
        if not own:
            what = f"split {part.split or split!r} of {part.name} holds nothing with a reference"
            raise RecipeError(what, where="data.mix" if part.mark else "data")
        drawn += _drawn(own, part, data.seed) if split == data.splits.train else own
    return drawn


def _drawn(own: Sequence[Dialogue], part: Part, seed: int) -> list[Dialogue]:
    whole = int(part.weight)
    more = round((part.weight - whole) * len(own))
    if not whole and not more:
        what = f"a weight of {part.weight:g} draws none of the {len(own)} dialogues of {part.name}"
        raise RecipeError(what, where="data.mix")
    some = sorted(random.Random(f"{seed}:{part.name}").sample(range(len(own)), more))  # noqa: S311
    rounds = [own] * whole + [[own[at] for at in some]]
    return [
        dialogue if number == 1 else replace(dialogue, id=f"{dialogue.id}~{number}")
        for number, each in enumerate(rounds, start=1)
        for dialogue in each
    ]


def _block(data: Data, one: Mix) -> Data:
    """The data block that reads a mixed-in set as the recipe reads its own."""
    limits = (
        {}
        if one.limit is None
        else dict.fromkeys(
            (name for name in one.splits.model_dump().values() if name is not None), one.limit
        )
    )
    read = {name: getattr(one, name) for name in ("dataset", "root", "hub", "options")}
    splits = data.splits.model_copy(update={"train": one.splits.train or data.splits.train})
    return data.model_copy(
        update={
            **read,
            "splits": splits,
            "limit": limits,
            "task": one.task or data.task,
            "instruction": data.instruction if one.instruction is None else one.instruction,
            "drawn": False,
            "mix": (),
        }
    )


def _place(data: Data) -> tuple[str, str | None, bool | str]:
    return data.dataset, data.root, data.hub
