"""Metrics over predictions: each one's table of sufficient statistics, each text seen once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.metrics import COUNTS, Metric, Table, metrics
from vesalius.settings import validated

Spec = str | Mapping[str, Mapping[str, Any]]
"""A metric: a registry name, or ``{name: parameters}``."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A metric under the name it was asked by, with its table of sufficient statistics."""

    name: str
    metric: Metric
    table: Table

    def rows(self, keep: NDArray[np.bool_]) -> Table:
        """The rows of the table that are kept (a mask [n])."""
        return {k: v[keep] for k, v in self.table.items()}

    def counts(self) -> dict[str, int]:
        """How many rows the metric counts as unread, cut or apart; only those that there are."""
        rows = {name: int(self.table[name].sum()) for name in COUNTS if name in self.table}
        return {name: count for name, count in rows.items() if count}


def measure(predictions: Sequence[Prediction], specs: Sequence[Spec | Metric]) -> list[Measured]:
    """Every metric's table, each text seen once."""
    return [
        Measured(name, metric, metric.measure(predictions)) for name, metric in map(built, specs)
    ]


def built(spec: Spec | Metric) -> tuple[str, Metric]:
    """The metric under the name it is asked by; UnknownName, RecipeError or RunError if none is.

    One that is built already, as it is: it may know of the pictures what no recipe says.
    """
    if not isinstance(spec, str | Mapping):
        return spec.protocol.name, spec
    name, parameters = _named(spec)
    entry = metrics[name]
    label = ", ".join(f"{k}={v}" for k, v in parameters.items())
    if isinstance(entry, type) and issubclass(entry, BaseModel):
        metric: Any = validated(entry, parameters, where=f"metric {name}")
    else:
        metric = entry(**parameters)
    return (f"{name}({label})" if label else name), metric


def counted(table: Table, metric: str, groups: Any) -> tuple[int, int]:
    """How many rows a score rests on, and how many groups they come from."""
    column = table.get(metric)
    if column is None:
        column = next(iter(table.values()))
    measured = ~np.isnan(column if column.ndim == 1 else column[:, 0])
    return int(measured.sum()), len(set(groups[measured].tolist()))


def _named(spec: Spec) -> tuple[str, Mapping[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if len(spec) != 1:
        raise RunError(f"a metric is a name or one name with parameters, not {dict(spec)!r}")
    name, parameters = next(iter(spec.items()))
    return name, parameters
