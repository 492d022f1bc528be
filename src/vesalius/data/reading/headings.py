"""Names of columns and keys: ours in any case, two of one name, and which of ours may be meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache

from vesalius.errors import DatasetError
from vesalius.system.tables import packaged_table


@lru_cache(maxsize=1)
def _headings() -> Mapping[str, str]:
    """What people call a column, in letters and digits alone -> our field."""
    listed: Mapping[str, list[str]] = packaged_table(__package__, "headings.yaml")
    return {name: field for field, names in listed.items() for name in (field, *names)}


@lru_cache(maxsize=1024)
def suggested(name: str) -> str | None:
    """The field of ours that a column called ``name`` probably holds; None if that is not known."""
    plain = re.sub(r"[\W_]+", "", name.lower())
    headings = _headings()
    if plain in headings:
        return headings[plain]
    close = get_close_matches(plain, headings, n=1, cutoff=0.85)
    return headings[close[0]] if close else None


def headed(name: str) -> str:
    """A column's name as a message has it: cut where it is a text of its own."""
    short = " ".join(str(name).split())
    return repr(short if len(short) <= 40 else f"{short[:40]}...") if short else "without a name"


def headings(row: Iterable[str]) -> str:
    """All columns' names in one line."""
    return ", ".join(headed(name).strip("'") for name in row)


def require_distinct(names: Iterable[str], where: object) -> None:
    """DatasetError if two columns or keys have one name, capitals and blanks aside.

    Of two such columns only one would be read. Columns without a name may be several.
    """
    seen: dict[str, str] = {}
    for name in map(str, names):
        plain = name.strip().lower()
        other = seen.get(plain)
        if plain and other is not None:
            hint = "rename or remove one of them"
            what = f"two columns or keys are called {headed(name)}"
            if other != name:
                what = f"the columns or keys {headed(other)} and {headed(name)} have one name"
            raise DatasetError(what, where=where, hint=hint)
        seen[plain] = name
