"""Two runs on the same questions: differences with paired intervals and tests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.clean import CLEAN
from vesalius.evaluation.constants import constants
from vesalius.evaluation.differences import Difference, Draws, adjusted, differences
from vesalius.evaluation.measuring import Spec, measure
from vesalius.evaluation.pairing import paired
from vesalius.evaluation.prediction_sets import SLICES, group_of, slices
from vesalius.evaluation.score import ALL, Constant, without_nan
from vesalius.evaluation.stats import clusters


@dataclass(frozen=True, slots=True)
class Comparison:
    """Differences of two runs, and how far their predictions can be paired at all.

    ``unshared``: the ids that one of them alone has, the first one's first. ``constants``: what
    always giving one answer would score on the shared ones.
    """

    differences: tuple[Difference, ...]
    protocols: Mapping[str, Mapping[str, Any]]
    shared: int
    only_first: int
    only_second: int
    answers_differ: int
    resamples: int
    level: float
    seed: int
    unshared: tuple[str, ...] = ()
    constants: tuple[Constant, ...] = ()

    def overall(self) -> list[Difference]:
        """The differences over all shared predictions."""
        return [d for d in self.differences if d.slice == ALL]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        rows = [without_nan(asdict(d)) for d in self.differences]
        return asdict(self) | {"differences": rows}


def compare(
    first: Sequence[Prediction],
    second: Sequence[Prediction],
    metrics: Sequence[Spec] = ("squad", "closed"),
    *,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    by: Sequence[str] = SLICES,
    clean: Collection[str] | None = None,
) -> Comparison:
    """Pair two runs' predictions by id and compare every score, overall and by slice.

    NotComparable if no id is shared, or a shared id stands for another question (see
    :func:`~vesalius.evaluation.pairing.paired`); RunError if an id appears twice. Only what was
    measured in both runs counts. The difference is second minus first. ``clean`` names the ids of
    a clean subset, which is one more slice.
    """
    here, there = paired(first, second)
    ours, theirs = measure(here, metrics), measure(there, metrics)
    units, shared = [group_of(p) for p in here], {p.id for p in here}
    draws = Draws(resamples, level, seed)
    rows: list[Difference] = []
    parts = list(slices(here, by))
    if clean is not None:
        parts.append((CLEAN, np.array([p.id in clean for p in here])))
    for label, keep in parts:
        groups = clusters([name for name, inside in zip(units, keep, strict=True) if inside])
        rows += differences(ours, theirs, groups, draws, label=label, keep=keep)
    return Comparison(
        differences=tuple(adjusted(rows)),
        protocols={a.name: a.metric.protocol.to_dict() for a in ours},
        shared=len(here),
        only_first=len(first) - len(here),
        only_second=len(second) - len(here),
        answers_differ=sum(a.answer != b.answer for a, b in zip(here, there, strict=True)),
        resamples=resamples,
        level=level,
        seed=seed,
        unshared=tuple(p.id for p in (*first, *second) if p.id not in shared),
        constants=constants(here, metrics),
    )
