"""What an audit's page shows beside words: tables, and cases two by two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.data.audit import Key

ROWS = 12
"""Rows of a table, and pairs of pictures, that the page shows of each check."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts; ``more`` rows were left out."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Cases whose pictures are shown beside one another (or one alone), and why."""

    cases: tuple[Key, ...]
    note: str


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The first rows as a table that says how many it leaves out."""
    first = tuple(tuple(row) for row in rows[:ROWS])
    return Table(title, tuple(columns), first, max(0, len(rows) - ROWS))


def per_cent(share: float) -> str:
    """A share as a percentage, with a decimal where it is small or nearly all."""
    digits = 1 if 0 < share < 0.1 or 0.95 < share < 1 else 0
    return f"{share:.{digits}%}".replace("%", " %")
