"""The table of concepts that ROCOv2 and ImageCLEF ship: what each is called, and of which type."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.case import Remark
from vesalius.data.reading.delimited import named_rows
from vesalius.data.reading.folders import below
from vesalius.data.reading.rows import required, text_in
from vesalius.errors import DatasetError

MAPPING = re.compile(r"mapping.*\.(csv|tsv|txt)", re.IGNORECASE)
"""``cui_mapping.csv`` and its like."""
CODE = re.compile(r"C\d{7}")
_CONCEPT = ("CUI", "concept", "concept_id", "ID")
_NAME = ("Canonical name", "canonical_name", "name", "concept_name")
_KIND = ("Semantic type", "Semantic types", "semantic_type", "semantic_types", "STY", "TUI", "kind")


@dataclass(frozen=True, slots=True)
class ConceptName:
    """What a concept is called, and its semantic type where one is known."""

    name: str
    kind: str | None = None


def mappings_in(root: Path | None, year: int | None = None) -> list[Path]:
    """All such tables in a folder or one below it; of several those that name the ``year``."""
    if root is None or not root.is_dir():
        return []
    near = sorted((*below(root, "*.*"), *below(root, "*/*.*")))
    tables = [path for path in near if MAPPING.search(path.name)]
    of_year = [path for path in tables if str(year) in path.relative_to(root).as_posix()]
    return of_year or tables


def own_mapping(root: Path, year: int | None = None) -> Path | None:
    """The one table that a data set has; None where it has none, or several."""
    tables = mappings_in(root, year)
    return tables[0] if len(tables) == 1 else None


def mapping_names(path: Path) -> dict[str, ConceptName]:
    """The concepts of a table, what each is called, and its semantic type where a column has it.

    DatasetError names a row without a concept, or a table without any.
    """
    names = {}
    for at, row in named_rows(path, {"concept": _CONCEPT, "name": _NAME}):
        concept = required(row, at, "concept")
        kind = next((text for column in _KIND if (text := text_in(row, column))), None)
        names[concept] = ConceptName(text_in(row, "name") or concept, kind)
    if not names:
        raise DatasetError("it has no concept", where=path)
    return names


def unknown_concepts(
    concepts: Iterable[str], known: Collection[str], table: str
) -> tuple[Remark, ...]:
    """A remark for each concept that the data set's own table does not have."""
    unknown = [concept for concept in concepts if concept not in known]
    named = [one if CODE.fullmatch(one) else "an identifier that is no CUI" for one in unknown]
    return tuple(Remark("unknown_concept", f"{one} is not in {table}") for one in named)
