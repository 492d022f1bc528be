"""Which predictions of several runs answer the same question."""

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
    """The predictions of both with the same ids, in the first one's order; see :func:`aligned`."""
    here, there = aligned(first, second)
    return here, there


def aligned(*systems: Sequence[Prediction]) -> list[list[Prediction]]:
    """The predictions of each system for the ids that all have, in the first one's order.

    ``kind`` and ``options`` decide how an answer is read: where one run does not state them, what
    another states holds for all. NotComparable if no id is shared, or one has other references,
    another kind or other options; RunError for an id that a system has twice.
    """
    for one in systems:
        refuse_duplicates(one)
    rows = [{p.id: p for p in one} for one in systems]
    shared = [name for name in rows[0] if all(name in other for other in rows[1:])]
    if not shared:
        sizes = " and ".join(str(len(one)) for one in systems)
        raise NotComparable(
            f"no id is shared by the {len(systems)} runs ({sizes} predictions)",
            hint="compare runs on the same split of the same data",
        )
    matched = [_matched([one[name] for one in rows]) for name in shared]
    return [list(column) for column in zip(*matched, strict=True)]


def _matched(ones: Sequence[Prediction]) -> list[Prediction]:
    """Predictions of one id with the kind and the options that any of them states."""
    where = f"id {ones[0].id!r}"
    if any(one.references != ones[0].references for one in ones):
        raise NotComparable("the runs have other references for it", where=where)
    stated = {name: _either(ones, name, where) for name in ("kind", "options")}
    return [replace(one, **stated) for one in ones]


def _either(ones: Sequence[Prediction], name: str, where: str) -> Any:
    values = {value for one in ones if (value := getattr(one, name)) is not None}
    if len(values) > 1:
        raise NotComparable(f"the runs differ in its {name}", where=where)
    return next(iter(values), None)
