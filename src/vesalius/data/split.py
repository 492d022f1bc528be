"""Splits that keep patients and look-alike pictures together, and an audit of those that do not."""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from vesalius.cases.case import Case
from vesalius.data.datasets import Dataset
from vesalius.data.fingerprints import NEAR, Fingerprint, Hash, fingerprint, near_pairs
from vesalius.errors import DatasetError, ImageError, Leakage
from vesalius.system.files import write_atomic

Kind = Literal["group", "same_picture", "near_duplicate"]
FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}
NAMED = 3
"""How many pairs an error names; the audit holds more."""
MAX_PAIRS = 1000
"""How many pairs of one kind the audit holds; all are counted."""


@dataclass(frozen=True, slots=True)
class Member:
    """What splitting needs of a case: no picture, only its fingerprints."""

    id: str
    group: str
    split: str
    modality: str | None
    fingerprints: tuple[Fingerprint, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Two cases that belong together, and why; ``distance`` is in bits of the difference hash."""

    kind: Kind
    first: Member
    second: Member
    distance: int = 0

    def __str__(self) -> str:
        why = {"group": f"both of group {self.first.group}", "same_picture": "the same picture"}
        reason = why.get(self.kind, f"near-duplicates, {self.distance} of 256 bits apart")
        places = f"{self.first.split}/{self.first.id} and {self.second.split}/{self.second.id}"
        return f"{places}: {reason}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What the splits share: counts by kind, and the first pairs of each."""

    cases: Mapping[str, int]
    counts: Mapping[str, int]
    pairs: tuple[Link, ...]
    unread: tuple[str, ...] = field(default=())
    """Pictures that could not be decoded, and so were not compared."""


def read_members(
    dataset: Dataset, splits: Iterable[str] | None = None, *, pictures: bool = True
) -> list[Member]:
    """Every case's group and fingerprints; an undecodable picture counts by its bytes alone."""
    names = dataset.splits() if splits is None else tuple(splits)
    return [
        _member(case, split, pictures=pictures) for split in names for case in dataset.cases(split)
    ]


def split_members(
    members: Sequence[Member],
    fractions: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    stratify: bool = False,
    distance: int = NEAR,
) -> dict[str, str]:
    """Case id -> split, the same for the same seed and cases in any order.

    Cases that share a group, a picture or a near-duplicate (also mirrored) stay together. With
    ``stratify`` each modality is dealt by itself. Fractions are of cases and sum to 1.
    """
    shares = _shares(fractions or FRACTIONS)
    strata: dict[str, list[list[Member]]] = defaultdict(list)
    for together in _components(members, distance):
        strata[str(together[0].modality) if stratify else ""].append(together)
    assigned: dict[str, str] = {}
    for components in strata.values():
        assigned |= _dealt(components, shares, seed)
    return dict(sorted(assigned.items()))


def write_splits(path: Path, assigned: Mapping[str, str]) -> None:
    """The split file: JSON lines of ``id`` and ``split``, written whole or not at all."""
    rows = ({"id": name, "split": split} for name, split in assigned.items())
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def audit(
    dataset: Dataset,
    splits: Iterable[str] | None = None,
    *,
    pictures: bool = True,
    allow_leaks: bool = False,
    distance: int = NEAR,
) -> Audit:
    """What the data set's splits share: groups, identical pictures, near-duplicates.

    Raises Leakage, naming the first pairs, unless ``allow_leaks``. ``pictures=False`` compares
    groups only and reads no picture.
    """
    members = read_members(dataset, splits, pictures=pictures)
    return audit_members(members, allow_leaks=allow_leaks, distance=distance)


def audit_members(
    members: Sequence[Member], *, allow_leaks: bool = False, distance: int = NEAR
) -> Audit:
    """:func:`audit` of members already read."""
    counts: dict[str, int] = defaultdict(int)
    pairs: list[Link] = []
    for link in links(members, distance):
        if link.first.split != link.second.split:
            counts[link.kind] += 1
            if counts[link.kind] <= MAX_PAIRS:
                pairs.append(link)
    sizes: dict[str, int] = defaultdict(int)
    for member in members:
        sizes[member.split] += 1
    unread = tuple(member.id for member in members if member.unread)
    result = Audit(dict(sizes), dict(counts), tuple(pairs), unread)
    if pairs and not allow_leaks:
        raise leakage(result)
    return result


def shared_with_later(members: Sequence[Member], order: Sequence[str]) -> dict[str, set[str]]:
    """For each split the ids of its cases that belong together with one of a later split.

    ``order`` runs from training to test. Belonging is transitive: a case whose look-alike looks
    like a test case counts too.
    """
    outside: dict[str, set[str]] = {split: set() for split in order}
    for together in _components([m for m in members if m.split in outside], NEAR):
        last = max(order.index(member.split) for member in together)
        for member in together:
            if order.index(member.split) < last:
                outside[member.split].add(member.id)
    return outside


def leakage(report: Audit) -> Leakage:
    """The error that names an audit's counts and first pairs."""
    counted = ", ".join(f"{number} {kind}" for kind, number in report.counts.items())
    named = "; ".join(map(str, report.pairs[:NAMED]))
    hint = "make whole-group splits with `vesalius data split`, or set data.leaks in the recipe"
    return Leakage(f"splits share cases ({counted}): {named}", hint=hint)


def links(members: Sequence[Member], distance: int = NEAR) -> Iterator[Link]:
    """Pairs that belong together: each case with the first of its group or picture, and near ones.

    Groups and equal pictures are linked across every pair of splits, but to one case of each.
    """
    yield from _equal(members, "group", lambda member: [member.group])
    yield from _equal(members, "same_picture", _exact)
    hashed = list(_distinct(members))
    if hashed:
        plain = np.stack([own for _, own, _ in hashed])
        mirrored = np.stack([other for _, _, other in hashed])
        for i, j, bits in near_pairs(plain, mirrored, distance):
            yield Link("near_duplicate", hashed[i][0], hashed[j][0], bits)


def _equal(
    members: Sequence[Member], kind: Kind, keys: Callable[[Member], list[str]]
) -> Iterator[Link]:
    firsts: dict[str, dict[str, Member]] = defaultdict(dict)
    for member in members:
        for key in keys(member):
            for first in firsts[key].values():
                if first is not member:
                    yield Link(kind, first, member)
            firsts[key].setdefault(member.split, member)


def _exact(member: Member) -> list[str]:
    return [like.sha256 for like in member.fingerprints if like.sha256]


def _distinct(members: Sequence[Member]) -> Iterator[tuple[Member, Hash, Hash]]:
    """Each different picture once: its copies are linked already."""
    seen: set[str] = set()
    for member in members:
        for like in member.fingerprints:
            if like.dhash is None or like.mirrored is None or like.sha256 in seen:
                continue
            seen.add(like.sha256)
            yield member, like.dhash, like.mirrored


def _member(case: Case, split: str, *, pictures: bool) -> Member:
    fingerprints, unread = [], False
    for picture in case.pictures if pictures else ():
        try:
            fingerprints.append(fingerprint(picture))
        except ImageError:
            unread = True  # the check says why; here it can only be left uncompared
    return Member(case.id, case.group, split, case.modality, tuple(fingerprints), unread)


def _components(members: Sequence[Member], distance: int) -> list[list[Member]]:
    """Cases in sets that must stay whole, by union-find over the links and equal ids."""
    root: dict[str, str] = {member.id: member.id for member in members}

    def top(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for link in links(members, distance):
        first, second = sorted((top(link.first.id), top(link.second.id)))
        root[second] = first
    together: dict[str, list[Member]] = defaultdict(list)
    for member in sorted(members, key=lambda m: (m.id, m.split)):
        together[top(member.id)].append(member)
    return list(together.values())


def _dealt(
    components: Sequence[list[Member]], shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Components in hash order, each to the split that is furthest below its share."""
    total = sum(map(len, components))
    wanting = {name: share * total for name, share in shares.items()}
    assigned: dict[str, str] = {}
    for together in sorted(components, key=lambda c: _draw(c[0].id, seed)):
        split = max(wanting, key=lambda name: wanting[name])
        wanting[split] -= len(together)
        assigned |= {member.id: split for member in together}
    return assigned


def _draw(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _shares(fractions: Mapping[str, float]) -> dict[str, float]:
    total = sum(fractions.values())
    if any(share <= 0 for share in fractions.values()) or not math.isclose(total, 1, abs_tol=1e-6):
        hint = "e.g. train=0.8 validation=0.1 test=0.1"
        raise DatasetError(f"fractions are positive and sum to 1, not {total:g}", hint=hint)
    return dict(fractions)
