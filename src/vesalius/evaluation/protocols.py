"""Protocols side by side: the same answers scored by several, and why these scores differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError, RecipeError, UnknownName
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Measured, Spec, measure
from vesalius.evaluation.metrics.words import golds
from vesalius.evaluation.prediction_sets import group_of, refuse_duplicates
from vesalius.evaluation.protocol_reasons import reason
from vesalius.evaluation.score import Score, without_nan
from vesalius.evaluation.scoring import scores
from vesalius.evaluation.stats import clusters
from vesalius.system.tables import packaged_table

EXAMPLES = 3
"""Ids named of each reason."""


@dataclass(frozen=True, slots=True)
class NamedProtocol:
    """A metric under the name that papers use: ``tolerant@0.3``.

    ``right`` are the columns of its table that hold of a row how right it is, in [0, 1]; the first
    that is measured counts.
    """

    name: str
    spec: Spec
    right: tuple[str, ...]
    about: str


@dataclass(frozen=True, slots=True)
class Apart:
    """Answers that a protocol counts as more right (``more``) or less than the first one does.

    ``reason`` says what in reply or reference makes the difference, ``ids`` name a few.
    """

    protocol: str
    more: bool
    reason: str
    n: int
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Scores by protocol, of how many rows each differs from the first, and for what reasons."""

    protocols: tuple[NamedProtocol, ...]
    scores: Mapping[str, tuple[Score, ...]]
    apart: tuple[Apart, ...]
    shared: Mapping[str, int]
    """By protocol: rows that it and the first one both measure."""
    absent: Mapping[str, str]
    """Protocols that these answers cannot have, and why."""
    draws: Draws

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data, without any text of an answer; what was not measured is null."""
        rows = {name: [without_nan(asdict(s)) for s in part] for name, part in self.scores.items()}
        return asdict(self) | {"scores": rows}


def named(text: str) -> NamedProtocol:
    """The protocol of that name, ``NAME`` or ``NAME@VALUE``; UnknownName, or RecipeError."""
    name, at, value = text.strip().partition("@")
    table = _table()
    if name not in table:
        raise UnknownName("protocol", name, table, where="--protocol")
    row = table[name]
    parameter = row.get("parameter")
    if at and parameter is None:
        raise RecipeError(f"{name} takes no value ({text})", hint=f"write {name}")
    if parameter and not at:
        raise RecipeError(f"{name} needs its {parameter}", hint=f"for example {name}@0.5")
    parameters: dict[str, Any] = dict(row.get("parameters", {}))
    if parameter:
        try:
            parameters[parameter] = float(value)
        except ValueError as error:
            raise RecipeError(f"{value!r} is no number", where=text) from error
    right = tuple(column.format(**parameters) for column in row["right"])
    return NamedProtocol(text.strip(), {row["metric"]: parameters}, right, row["about"])


def side_by_side(
    predictions: Sequence[Prediction], names: Sequence[str], draws: Draws | None = None
) -> SideBySide:
    """Score the same answers by each protocol, and hold every one against the first.

    RunError where an id appears twice, UnknownName or RecipeError for a protocol that there is not,
    DatasetError where not even the first can be measured.
    """
    draws = draws or Draws()
    refuse_duplicates(predictions)
    protocols = [named(name) for name in dict.fromkeys(names)]
    groups = clusters([group_of(p) for p in predictions])
    tables: dict[str, Measured] = {}
    absent: dict[str, str] = {}
    for protocol in protocols:
        try:
            (tables[protocol.name],) = measure(predictions, [protocol.spec])
        except DatasetError as error:
            if protocol is protocols[0]:
                raise
            absent[protocol.name] = str(error)
    present = [protocol for protocol in protocols if protocol.name in tables]
    marks = {one.name: _marks(tables[one.name], one.right) for one in present}
    first = marks[present[0].name]
    apart = [
        row for one in present[1:] for row in _apart(predictions, one.name, first, marks[one.name])
    ]
    return SideBySide(
        protocols=tuple(present),
        scores={name: tuple(scores([part], groups, draws)) for name, part in tables.items()},
        apart=tuple(apart),
        shared={
            one.name: int((~np.isnan(first) & ~np.isnan(marks[one.name])).sum())
            for one in present[1:]
        },
        absent=absent,
        draws=draws,
    )


def _marks(measured: Measured, columns: Sequence[str]) -> NDArray[np.float64]:
    """How right each row [n] is; NaN where the protocol does not measure it."""
    marks = np.full(len(measured.table[columns[0]]), np.nan)
    for column in columns:
        marks = np.where(np.isnan(marks), measured.table[column], marks)
    return marks


def _apart(
    predictions: Sequence[Prediction],
    name: str,
    first: NDArray[np.float64],
    other: NDArray[np.float64],
) -> Iterator[Apart]:
    """By reason the rows that the two mark differently, the commonest first."""
    for more in (True, False):
        places = np.flatnonzero(other > first if more else other < first).tolist()
        found = [(reason(predictions[i].text, golds(predictions[i])), i) for i in places]
        for why, n in Counter(why for why, _ in found).most_common():
            ids = [predictions[i].id for text, i in found if text == why]
            yield Apart(name, more, why, n, tuple(ids[:EXAMPLES]))


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    table: Mapping[str, Mapping[str, Any]] = packaged_table(__package__, "protocols.yaml")
    return table
