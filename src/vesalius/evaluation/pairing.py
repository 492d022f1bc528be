"""Which predictions of two runs answer the same question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable
from vesalius.evaluation.prediction_sets import refuse_duplicates


def paired(
    first: Sequence[Prediction], second: Sequence[Prediction]
) -> tuple[list[Prediction], list[Prediction]]:
    """The predictions of both with the same ids, in the first one's order.

    ``kind`` and ``options`` decide how an answer is read: where one run does not state them, the
    other's hold for both. NotComparable if no id is shared, or one has other references, another
    kind or other options.
    """
    refuse_duplicates(first)
    refuse_duplicates(second)
    theirs = {p.id: p for p in second}
    here = [p for p in first if p.id in theirs]
    if not here:
        raise NotComparable(
            f"no id is shared by the two runs ({len(first)} and {len(second)} predictions)",
            hint="compare runs on the same split of the same data",
        )
    matched = [_matched(p, theirs[p.id]) for p in here]
    return [a for a, _ in matched], [b for _, b in matched]


def _matched(a: Prediction, b: Prediction) -> tuple[Prediction, Prediction]:
    """Both with the kind and the options that either states."""
    if a.references != b.references:
        raise NotComparable("the two runs have other references for it", where=f"id {a.id!r}")
    stated = {name: _either(a, b, name) for name in ("kind", "options")}
    return replace(a, **stated), replace(b, **stated)


def _either(a: Prediction, b: Prediction, name: str) -> Any:
    ours, theirs = getattr(a, name), getattr(b, name)
    if None not in (ours, theirs) and ours != theirs:
        raise NotComparable(f"the two runs differ in its {name}", where=f"id {a.id!r}")
    return theirs if ours is None else ours
