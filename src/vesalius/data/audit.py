"""What splits share that should not: patients, pictures, near-duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, NamedTuple

from vesalius.cases.case import Case
from vesalius.cases.likeness import Thumbnail
from vesalius.cases.picture import Picture
from vesalius.data.content import content_digest
from vesalius.data.datasets import Dataset
from vesalius.data.fingerprints import Fingerprint, Inspected
from vesalius.data.inspection import inspect_pictures
from vesalius.data.likeness import near_pairs
from vesalius.errors import Leakage

Kind = Literal["group", "same_picture", "near_duplicate"]
NAMED = 3
"""How many pairs an error names; the audit holds more."""
MAX_PAIRS = 1000
"""How many pairs of one kind the audit holds; all are counted."""


class Key(NamedTuple):
    """What names a case of a data set: publishers count anew in each split."""

    id: str
    split: str


@dataclass(frozen=True, slots=True)
class Member:
    """What splitting needs of a case: no picture, only its fingerprints."""

    id: str
    group: str
    split: str
    modality: str | None
    fingerprints: tuple[Fingerprint, ...] = ()
    unread: bool = False
    patient: bool = False
    """Whether the group is one that the data set names, rather than the picture's or case's own."""
    digest: int = 0
    """A hash of all that the case holds, words and pictures."""

    @property
    def key(self) -> Key:
        """Its id, which is its own within its split only, with the split."""
        return Key(self.id, self.split)

    def __str__(self) -> str:
        return f"{self.split}/{self.id}"


@dataclass(frozen=True, slots=True)
class Link:
    """Two cases that belong together, and why; ``likeness`` in [0, 1] of near-duplicates."""

    kind: Kind
    first: Member
    second: Member
    likeness: float = 1.0

    def __str__(self) -> str:
        why = {"group": f"both of group {self.first.group}", "same_picture": "the same picture"}
        reason = why.get(self.kind, f"near-duplicates, likeness {self.likeness:.2f}")
        return f"{self.first} and {self.second}: {reason}"


@dataclass(frozen=True, slots=True)
class Audit:
    """What the splits share: counts by kind, and the first pairs of each."""

    cases: Mapping[str, int]
    counts: Mapping[str, int]
    pairs: tuple[Link, ...]
    unread: tuple[str, ...] = field(default=())
    """Cases (``split/id``) whose pictures could not all be decoded, and so were not compared."""
    groups: int = 0
    """In how many groups the cases are that belong together: patients, pictures, look-alikes."""


def read_members(
    dataset: Dataset,
    splits: Iterable[str] | None = None,
    *,
    pictures: bool = True,
    look: Callable[[Sequence[Picture]], Sequence[Inspected]] = inspect_pictures,
) -> list[Member]:
    """Every case's group and fingerprints; a case with an undecodable picture is ``unread``.

    Pictures are hashed once a process, on all cores; where ``vesalius data import`` recorded them
    (``fingerprints.jsonl``) they are not opened at all. ``look`` may have rows that workers made.
    """
    names = dataset.splits() if splits is None else tuple(splits)
    cases = [(split, case) for split in names for case in dataset.cases(split)]
    looked: Iterator[Inspected] = iter(
        look([p for _, case in cases for p in case.pictures]) if pictures else ()
    )
    return [
        member_of(case, split, list(islice(looked, len(case.pictures) if pictures else 0)))
        for split, case in cases
    ]


def member_of(case: Case, split: str, pictures: Sequence[Inspected] = ()) -> Member:
    """The case as the audit sees it, with what its pictures tell."""
    likes = tuple(p.fingerprint for p in pictures if p.fingerprint is not None)
    # The check says why a picture cannot be read; here it can only be left uncompared.
    own = {case.id, f"{split}/{case.id}", *(p.key for p in case.pictures)}
    return Member(
        *(case.id, case.group, split, case.modality, likes, len(likes) < len(pictures)),
        patient=case.group not in own,
        digest=content_digest(case, [like.sha256 for like in likes]),
    )


def audit(
    dataset: Dataset,
    splits: Iterable[str] | None = None,
    *,
    pictures: bool = True,
    allow_leaks: bool = False,
) -> Audit:
    """What the data set's splits share: groups, identical pictures, near-duplicates.

    Raises Leakage, naming the first pairs, unless ``allow_leaks``. ``pictures=False`` compares
    groups only and reads no picture.
    """
    members = read_members(dataset, splits, pictures=pictures)
    return audit_members(members, allow_leaks=allow_leaks)


def audit_members(
    members: Sequence[Member], linked: Sequence[Link] | None = None, *, allow_leaks: bool = False
) -> Audit:
    """:func:`audit` of members already read, and linked if ``linked`` is given."""
    counts: dict[str, int] = defaultdict(int)
    pairs: list[Link] = []
    linked = list(links(members)) if linked is None else linked
    for link in linked:
        if link.first.split != link.second.split:
            counts[link.kind] += 1
            if counts[link.kind] <= MAX_PAIRS:
                pairs.append(link)
    sizes: dict[str, int] = defaultdict(int)
    for member in members:
        sizes[member.split] += 1
    unread = tuple(str(member) for member in members if member.unread)
    groups = len(belonging_together(members, linked))
    result = Audit(dict(sizes), dict(counts), tuple(pairs), unread, groups)
    if pairs and not allow_leaks:
        raise leakage(result)
    return result


def shared_with_later(members: Sequence[Member], order: Sequence[str]) -> dict[str, set[str]]:
    """For each split the ids of its cases that belong together with one of a later split.

    ``order`` runs from training to test. Belonging is transitive: a case whose look-alike looks
    like a test case counts too.
    """
    outside: dict[str, set[str]] = {split: set() for split in order}
    for together in belonging_together([m for m in members if m.split in outside]):
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


def links(members: Sequence[Member]) -> Iterator[Link]:
    """Pairs that belong together: each case with the first of its group or picture, and near ones.

    Groups and equal pictures are linked across every pair of splits, but to one case of each.
    """
    yield from _equal(members, "group", lambda member: [member.group])
    yield from _equal(members, "same_picture", _exact)
    distinct = list(_distinct(members))
    if distinct:
        owners, thumbnails = zip(*distinct, strict=True)
        groups, patients = [m.group for m in owners], [m.patient for m in owners]
        for i, j, likeness in near_pairs(thumbnails, groups, patients):
            yield Link("near_duplicate", owners[i], owners[j], likeness)


def belonging_together(
    members: Sequence[Member], linked: Iterable[Link] | None = None
) -> list[list[Member]]:
    """Cases in sets that must stay whole, by union-find over the links (``linked``, if known).

    Equal ids in two splits link nothing: where they name one case, its group and picture do.
    """
    root: dict[Key, Key] = {member.key: member.key for member in members}

    def top(name: Key) -> Key:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for link in links(members) if linked is None else linked:
        first, second = sorted((top(link.first.key), top(link.second.key)))
        root[second] = first
    together: dict[Key, list[Member]] = defaultdict(list)
    for member in sorted(members, key=lambda m: m.key):
        together[top(member.key)].append(member)
    return list(together.values())


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


def _distinct(members: Sequence[Member]) -> Iterator[tuple[Member, Thumbnail]]:
    """Each different picture once: its copies are linked already."""
    seen: set[str] = set()
    for member in members:
        for like in member.fingerprints:
            if like.thumbnail is not None and like.sha256 not in seen:
                seen.add(like.sha256)
                yield member, like.thumbnail
