"""A table of systems as Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vesalius.errors import UnknownName
from vesalius.evaluation.score import Score, lacking, without_nan
from vesalius.evaluation.table import Row, Table
from vesalius.system.files import write_atomic

_SCORE = ("value", "low", "high", "interval", "n", "groups", "protocol")
_DIFFERENCE = ("difference", "low", "high", "p", "p_holm")


def write_table(table: Table, path: Path) -> Path:
    """Write the table in the form that the file's ending names; UnknownName for another ending."""
    write_atomic(path, form_of(path)(table))
    return path


def form_of(path: Path) -> Callable[[Table], str]:
    """What writes the form that a file's ending names (``.md``, ``.csv``, ``.json``)."""
    if path.suffix not in FORMS:
        raise UnknownName("form of a table", path.suffix or path.name, FORMS, where=path)
    return FORMS[path.suffix]


def markdown(table: Table) -> str:
    """Two tables, of scores and of differences to the baseline, and the notes below them.

    A cell is the value with its interval; what could not be measured is "not measured".
    """
    heads = ["system", "n", *table.columns]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for row in table.rows:
        scores = [row.score(metric) for metric in table.columns]
        n = max((score.n for score in scores), default=0)
        lines.append(_line([row.name, f"{n:,}", *map(str, scores)]))
    lines += [
        _line([f"always {constant.name}", "", *map(constant.cell, table.columns)])
        for constant in table.constants
    ]
    heads = [f"against {table.baseline}", *table.columns]
    lines += ["", _line(heads), _line(["---"] * len(heads))]
    for row in table.rows:
        if row.against:
            lines.append(_line([row.name, *(_gap(row, metric) for metric in table.columns)]))
    protocols = [
        f"{name}: {protocol['implementation']} {protocol['version']}".rstrip()
        for name, protocol in table.protocols.items()
    ]
    lines += ["", *(f"- {note}" for note in [*table.notes(), *protocols])]
    return "\n".join(lines) + "\n"


def as_csv(table: Table) -> str:
    """A line a system and score, all scores of every metric, with the difference to the baseline.

    What was not measured is empty, and ``not_measured`` tells why.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, fieldnames=list(_fields()), lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for score in row.scores:
            writer.writerow(_record(table, row, score))
    for constant in table.constants:
        for metric, value in constant.values.items():
            name, source = f"always {constant.name}", constant.source
            row_of = {"system": name, "remarks": source, "score": metric, "value": value}
            writer.writerow(row_of)
    return file.getvalue()


def as_json(table: Table) -> str:
    """All of the table, protocols and notes included."""
    return json.dumps(table.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


FORMS: Mapping[str, Callable[[Table], str]] = MappingProxyType(
    {".md": markdown, ".csv": as_csv, ".json": as_json}
)


def _fields() -> Iterator[str]:
    yield from ("system", "remarks", "score", *_SCORE, "baseline")
    yield from (name if name == "difference" else f"difference_{name}" for name in _DIFFERENCE)
    yield "not_measured"


def _record(table: Table, row: Row, score: Score) -> dict[str, Any]:
    own = without_nan(asdict(score))
    d = row.difference(score.metric)
    gap = {} if d is None else without_nan(asdict(d))
    return {
        "system": row.name,
        "remarks": "; ".join(row.remarks),
        "score": score.metric,
        **{name: own[name] for name in _SCORE},
        "baseline": table.baseline,
        **{
            name if name == "difference" else f"difference_{name}": gap.get(name)
            for name in _DIFFERENCE
        },
        "not_measured": None if score.measured else _reason(table, score),
    }


def _reason(table: Table, score: Score) -> str:
    reason = lacking(table.protocols, score.protocol, score.metric)
    return reason or "no shared case holds what it measures"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _gap(row: Row, metric: str) -> str:
    d = row.difference(metric)
    if d is None:
        return "a baseline score"
    return str(d) if d.p_holm != d.p_holm else f"{d}, p {d.p_holm:.4f}"
