"""What a case and a split hold, as hashes: whether an audit is of these data or of others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from vesalius.cases.case import Case

BITS = 256


class Digested(Protocol):
    """A case's split and hash, as :class:`vesalius.data.audit.Member` has them."""

    @property
    def split(self) -> str:
        """The split it is in."""

    @property
    def digest(self) -> int:
        """Its :func:`content_digest`."""


def content_digest(case: Case, pictures: Sequence[str]) -> int:
    """A hash of 256 bits of a case's words, boxes, concepts, group and pictures' own hashes."""
    content: list[Any] = [
        *(case.id, case.group, case.modality, case.caption, case.concepts, sorted(pictures)),
        [[q.text, q.category, q.kind, [asdict(a) for a in q.answers]] for q in case.questions],
        None if case.boxes is None else [asdict(box) for box in case.boxes],
    ]
    data = json.dumps(content, ensure_ascii=False).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.sha256(data).digest())


def split_digests(cases: Iterable[Digested]) -> dict[str, dict[str, Any]]:
    """By split: how many ``cases``, and ``sha256``, the sum of their hashes in any order."""
    sums: dict[str, tuple[int, int]] = {}
    for case in cases:
        number, total = sums.get(case.split, (0, 0))
        sums[case.split] = (number + 1, (total + case.digest) % 2**BITS)
    return {
        split: {"cases": number, "sha256": f"{total:064x}"}
        for split, (number, total) in sums.items()
    }


def whole_digest(splits: Mapping[str, Mapping[str, Any]]) -> str:
    """One hash of all splits, in hexadecimal."""
    listed = json.dumps({name: facts["sha256"] for name, facts in sorted(splits.items())})
    return hashlib.sha256(listed.encode()).hexdigest()
