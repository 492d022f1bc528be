"""Groups and splits that are made when a set is opened, in the place of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal, Self

from pydantic import model_validator

from vesalius.cases.case import Case
from vesalius.data.audit import Key, Member, belonging_together, read_members
from vesalius.data.datasets import Dataset
from vesalius.data.reading.streams import Streams
from vesalius.data.split import FRACTIONS, qualified, repeated_ids, split_members
from vesalius.settings import Frozen, validated

Groups = Mapping[Key, str]


class Dealing(Frozen):
    """Options of any data set that make its groups or splits anew; by default its own stay."""

    groups: Literal["near-duplicates"] | None = None
    """``near-duplicates``: cases that share a group, a picture or a look-alike (saved again,
    scaled, cropped, turned, mirrored, other contrast) are one group, which splits and resampling
    keep whole. Pictures are read for it, on all cores."""
    split_by: Literal["groups", "random"] | None = None
    """``groups``: new splits of whole groups, as ``vesalius data split`` makes them; ``random``:
    each case by itself, only to see what such a split would have measured."""
    split_seed: int = 0
    """Another seed, another split."""
    split_fractions: dict[str, float] | None = None
    """Shares of the cases; train 0.8, validation 0.1, test 0.1 by default."""

    @model_validator(mode="after")
    def _of_a_split(self) -> Self:
        unused = {"split_seed", "split_fractions"} & self.model_fields_set
        if unused and self.split_by is None:
            raise ValueError(f"{' and '.join(sorted(unused))} without split_by")
        return self


def dealing_in(options: MutableMapping[str, Any]) -> Dealing:
    """The options of :class:`Dealing`, taken out of a data set's; RecipeError for a wrong one."""
    own = {name: options.pop(name) for name in Dealing.model_fields if name in options}
    return validated(Dealing, own, where="data options")


def dealt_anew(dataset: Dataset, dealing: Dealing) -> Dataset:
    """``dataset`` under the groups and splits that ``dealing`` asks for."""
    if dealing.groups is not None:
        grouped = _Grouped(dataset)
        dataset = _like(dataset, {s: partial(grouped.cases, s) for s in dataset.splits()})
    if dealing.split_by is not None:
        anew = _Dealt(dataset, dealing)
        names = dealing.split_fractions or FRACTIONS
        dataset = _like(dataset, {s: partial(anew.cases, s) for s in names})
    return dataset


def _like(dataset: Dataset, starts: Mapping[str, Any]) -> Streams:
    words, mapping = getattr(dataset, "layout", ""), getattr(dataset, "mapping", None)
    return Streams(getattr(dataset, "name", "dealt anew"), starts, words, mapping)


class _Grouped:
    """A set whose groups are its near-duplicates; found when its first case is wanted."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def cases(self, split: str) -> Iterator[Case]:
        """The split's cases, each in its group."""
        for case in self._dataset.cases(split):
            yield replace(case, group=self._groups[Key(case.id, split)])

    @cached_property
    def _groups(self) -> Groups:
        return _near_duplicates(read_members(self._dataset))


class _Dealt:
    """A set under new splits; dealt when its first case is wanted."""

    def __init__(self, dataset: Dataset, dealing: Dealing) -> None:
        self._dataset, self._dealing = dataset, dealing

    def cases(self, split: str) -> Iterator[Case]:
        """The cases that are dealt to the split; ids of several own splits say from which."""
        again = repeated_ids(self._assigned)
        for original in self._dataset.splits():
            for case in self._dataset.cases(original):
                key = Key(case.id, original)
                if self._assigned[key] == split:
                    name = qualified(key) if key.id in again else key.id
                    yield replace(case, id=name, split=split)

    @cached_property
    def _assigned(self) -> Mapping[Key, str]:
        by_group = self._dealing.split_by == "groups"
        # Groups that hold the near-duplicates already need no second look at the pictures.
        look = by_group and self._dealing.groups is None
        members = read_members(self._dataset, pictures=look)
        return split_members(
            members,
            self._dealing.split_fractions,
            seed=self._dealing.split_seed,
            together=by_group,
        )


_last: dict[Sequence[object], Groups] = {}
"""A fit opens its set some ten times: what the pictures of the last one said is remembered."""


def _near_duplicates(members: Sequence[Member]) -> Groups:
    """Each case's group: the first patient that belongs together with it, or else the first case.

    A patient stays one by name: pictures of two patients have to be more alike to be told of.
    """
    identity = tuple((m.key, m.group, tuple(f.sha256 for f in m.fingerprints)) for m in members)
    if identity not in _last:
        groups = {
            member.key: next((one.group for one in together if one.patient), str(together[0]))
            for together in belonging_together(members)
            for member in together
        }
        _last.clear()
        _last[identity] = groups
    return _last[identity]
