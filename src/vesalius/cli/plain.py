"""Tables and coloured text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text


def facts_table(title: str, facts: Mapping[str, Any]) -> Table:
    """Facts as a two-column table; nested ones with dotted names."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in _flat(facts):
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value))
    return table


def mask_text(tokens: Iterable[tuple[str, bool]]) -> Text:
    """Tokens in colour: those that bear loss in bold green, the others dim."""
    text = Text()
    for token, bears in tokens:
        text.append(token, style="bold black on green" if bears else "dim")
    text.append("\n\ngreen: bears loss", style="green")
    return text


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
