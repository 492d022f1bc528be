"""The long-tail table of a run's concepts, below its scores."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.long_tail import TailRow
    from vesalius.run import Run


def print_long_tail(console: Console, run: Run, name: str) -> None:
    """F1 by frequency decile of the training concepts and by type; nothing where there are none."""
    from vesalius.evaluation.long_tail import by_frequency, by_type, concept_counts

    concepts = run.concepts()
    counts = concept_counts(run.predictions(name)) if concepts else {}
    if not counts:
        return
    console.print()
    console.print(_table("training frequency", by_frequency(counts, concepts)))
    kinds = by_type(counts, concepts)
    if kinds:
        console.print()
        console.print(_table("semantic type", kinds))


def _table(title: str, rows: Sequence[TailRow]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(title, style="bold")
    for column in ("images", "concepts", "wanted", "macro F1", "pooled F1"):
        table.add_column(column, justify="right")
    for row in rows:
        images = f"{row.least:,}-{row.most:,}" if row.least < row.most else f"{row.most:,}"
        numbers = [_number(row.macro), _number(row.pooled)]
        counted = f"{row.measured:,}/{row.concepts:,}"
        table.add_row(escape(row.name), images, counted, f"{row.counts.wanted:,}", *numbers)
    return table


def _number(value: float) -> str:
    return "not measured" if isnan(value) else f"{value:.3f}"
