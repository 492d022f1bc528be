"""Splits that keep patients and look-alike pictures together."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vesalius.data.audit import Key, Member, belonging_together
from vesalius.errors import DatasetError
from vesalius.system.files import write_atomic

FRACTIONS = {"train": 0.8, "validation": 0.1, "test": 0.1}


def split_members(
    members: Sequence[Member],
    fractions: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
    stratify: bool = False,
    together: bool = True,
) -> dict[Key, str]:
    """Each case's new split, the same for the same seed and cases in any order.

    Cases that share a group, a picture or a near-duplicate stay together. With
    ``stratify`` each modality is dealt by itself; without ``together`` each case is, whatever it
    shares: only to see what a split by chance would have measured. Fractions are of cases and
    sum to 1. Raises DatasetError for an id that two cases of one split have.
    """
    _require_own_ids(members)
    shares = _shares(fractions or FRACTIONS)
    strata: dict[str, list[list[Member]]] = defaultdict(list)
    apart = [[member] for member in members]
    for whole in belonging_together(members) if together else apart:
        strata[str(whole[0].modality) if stratify else ""].append(whole)
    assigned: dict[Key, str] = {}
    for components in strata.values():
        assigned |= _dealt(components, shares, seed)
    return dict(sorted(assigned.items()))


def empty_splits(
    assigned: Mapping[Key, str], members: Sequence[Member], fractions: Mapping[str, float] | None
) -> str | None:
    """What to say if a split that was to be made has no case; None if each has some."""
    wanted = list(fractions or FRACTIONS)
    empty = [name for name in wanted if name not in set(assigned.values())]
    if not empty:
        return None
    groups = len({member.group for member in members})
    verb = "is" if len(empty) == 1 else "are"
    too_few = f"{groups} patients or groups of pictures are too few for {', '.join(wanted)}"
    return f"{too_few}: {' and '.join(empty)} {verb} empty"


def write_splits(path: Path, assigned: Mapping[Key, str]) -> None:
    """The split file: JSON lines of ``id`` and ``split``, written whole or not at all.

    An id that several splits of the data set have is told apart by ``from``, the split it is in.
    """
    again = repeated_ids(assigned)
    rows = (
        {"id": key.id} | ({"from": key.split} if key.id in again else {}) | {"split": split}
        for key, split in assigned.items()
    )
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def repeated_ids(keys: Iterable[Key]) -> set[str]:
    """The ids that cases of several splits have; dealt anew, they would be one case's."""
    return {name for name, number in Counter(key.id for key in keys).items() if number > 1}


def qualified(key: Key) -> str:
    """What a case is called where its id is no longer its own."""
    return f"{key.split}/{key.id}"


def _require_own_ids(members: Sequence[Member]) -> None:
    seen: set[Key] = set()
    for member in members:
        if member.key in seen:
            fault = f"two cases have the id {member.id!r}"
            raise DatasetError(fault, where=member.split, hint="give each case an id of its own")
        seen.add(member.key)


def _dealt(
    components: Sequence[list[Member]], shares: Mapping[str, float], seed: int
) -> dict[Key, str]:
    """Components in hash order, each to the split that is furthest below its share."""
    total = sum(map(len, components))
    wanting = {name: share * total for name, share in shares.items()}
    assigned: dict[Key, str] = {}
    for together in sorted(components, key=lambda c: _draw(c[0].id, seed)):
        split = max(wanting, key=lambda name: wanting[name])
        wanting[split] -= len(together)
        assigned |= {member.key: split for member in together}
    return assigned


def _draw(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}:{name}".encode()).hexdigest()


def _shares(fractions: Mapping[str, float]) -> dict[str, float]:
    total = sum(fractions.values())
    if any(share <= 0 for share in fractions.values()) or not math.isclose(total, 1, abs_tol=1e-6):
        hint = "e.g. train=0.8 validation=0.1 test=0.1"
        raise DatasetError(f"fractions are positive and sum to 1, not {total:g}", hint=hint)
    return dict(fractions)
