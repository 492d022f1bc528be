"""Systems side by side on a terminal: as many columns as fit, the rest below."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table as Grid

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.score import Constant
    from vesalius.evaluation.table import Row, Table

_CELL = 18
"""Columns that a cell takes: an interval with signs, and the space beside it."""


def show(console: Console, runs: Sequence[Path], files: Sequence[Path], **options: Any) -> None:
    """Make the table of runs, write it in the forms that the files' endings name, and print it."""
    from vesalius.evaluation.table_files import form_of, write_table
    from vesalius.steps.table import table as step

    for file in files:  # an ending that names no form is known before anything is measured
        form_of(file)
    table = step(*runs, **options)
    for file in files:
        write_table(table, file)
    print_table(console, table)


def print_table(console: Console, table: Table) -> None:
    """The scores, then the differences to the baseline, then what must be read with them."""
    from vesalius.cli.scores import protocol_notes

    console.print(f"[bold]{table.shared:,} shared cases[/bold]", highlight=False)
    for grid in _grids(table, _score, console.width, table.rows, table.constants):
        console.print(grid)
    console.print(f"\nagainst [bold]{escape(table.baseline)}[/bold]", highlight=False)
    for grid in _grids(table, _gap, console.width, [row for row in table.rows if row.against]):
        console.print(grid)
    notes = [*table.notes(), *protocol_notes(table.protocols)]
    console.print("\n" + "\n".join(notes), style="dim", markup=False, highlight=False)


def _grids(
    table: Table,
    cell: Callable[[Row, str], str],
    width: int,
    rows: Sequence[Row],
    constants: Sequence[Constant] = (),
) -> Iterator[Grid]:
    """The columns in tables that fit the width, each cell of two lines."""
    first = min(max(len(row.name) for row in table.rows) + 2, max(10, width // 3))
    fit = max(1, (width - first) // _CELL)
    for start in range(0, len(table.columns), fit):
        names = table.columns[start : start + fit]
        grid = Grid(box=None, padding=(0, 1, 0, 0))
        grid.add_column("", style="bold", width=first, overflow="fold")
        for name in names:
            grid.add_column(name, width=_CELL - 1, overflow="fold")
        for row in rows:
            grid.add_row(escape(row.name), *(cell(row, name) for name in names))
        for constant in constants:
            grid.add_row(f"always {constant.name}", *map(constant.cell, names))
        yield grid


def _score(row: Row, metric: str) -> str:
    score = row.score(metric)
    return str(score).replace(" [", "\n[").replace("[", "\\[") if score.measured else "not measured"


def _gap(row: Row, metric: str) -> str:
    d = row.difference(metric)
    if d is None or not d.measured:
        return "not measured"
    p = "" if d.p_holm != d.p_holm else f" p {d.p_holm:.4f}"
    value, *bounds = str(d).split(" ", 1)
    return "\n".join([f"{value}{p}", *(bound.replace("[", "\\[") for bound in bounds)])
