"""Nested facts of a run as lines for a page or a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flat(facts: Mapping[str, Any], between: str = ".") -> Iterator[tuple[str, str]]:
    """Names, those of nested facts joined, and values in words; what is None is left out."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}{between}{inner}", text) for inner, text in flat(value, between))
        elif value is not None:
            yield name, value_text(value)


def value_text(value: Any) -> str:
    """Yes or no, a number with its thousands apart, or the text."""
    if isinstance(value, bool):  # before int, which it is, too
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
