"""The files of a folder as Croissant's distribution, and the columns of its tables as records."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vesalius.data.croissant.columns import Columns, columns_of
from vesalius.data.croissant.vocabulary import vocabulary
from vesalius.errors import DatasetError
from vesalius.system.parallel import progress_bar

PICTURES = "pictures"
MANY = 50
"""Files of one ending that are told together: labels of a picture each, rather than tables."""


@dataclass(slots=True)
class Distribution:
    """``files`` and ``records`` as JSON-LD, and in words what of the folder they do not tell."""

    files: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    omissions: list[str] = field(default_factory=list)
    _ids: Counter[str] = field(default_factory=Counter)

    def id_of(self, name: str) -> str:
        """An unused ``@id`` without blanks, which mlcroissant does not take, not even escaped."""
        plain = re.sub(r"\s", "_", name)
        self._ids[plain] += 1
        number = self._ids[plain]
        return plain if number == 1 else f"{plain}~{number}"


def distribution_of(root: Path, without: Path | None = None) -> Distribution:
    """What lies below the folder ``root`` (or is the file ``root``), but for ``without``.

    Tables and archives are each a FileObject with its SHA-256, and a table's columns a RecordSet.
    Pictures, documents and whatever there is :data:`MANY` of are sets that name endings alone: the
    path of a picture, or of the labels beside it, may name its patient.
    """
    base = root if root.is_dir() else root.parent
    result = Distribution()
    formats = vocabulary()["formats"]
    alone = formats["tables"] | formats["archives"]
    by_ending: dict[str, list[Path]] = {}
    for path in _files(root, without):
        by_ending.setdefault(path.suffix.lower(), []).append(path)
    single = {e: paths for e, paths in by_ending.items() if e in alone and len(paths) < MANY}
    with progress_bar("hashing files", sum(map(len, single.values()))) as advance:
        for ending, paths in single.items():
            for path in paths:
                _add_file(result, path, base, alone[ending])
                advance(1)
    endings = Counter({e: len(paths) for e, paths in by_ending.items() if e not in single})
    _add_set(result, PICTURES, endings, formats["pictures"])
    _add_set(result, "documents", endings, formats["documents"] | alone)
    if others := sum(endings.values()):
        result.omissions.append(f"{others} files of other kinds")
    return result


def _files(root: Path, without: Path | None) -> Iterator[Path]:
    """The files of a folder in the order of their names, hidden ones left out."""
    left = without.resolve() if without is not None else None
    for path in [root] if root.is_file() else sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.is_file() and not hidden and path.resolve() != left:
            yield path


def _add_file(result: Distribution, path: Path, base: Path, media: str) -> None:
    name = path.relative_to(base).as_posix()
    own = result.id_of(name)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    result.files.append(
        {
            "@type": "cr:FileObject",
            "@id": own,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{path.stat().st_size} B",
            "encodingFormat": media,
            "sha256": digest,
        }
    )
    if path.suffix.lower() not in vocabulary()["formats"]["tables"]:
        return
    try:
        columns = columns_of(path, own, result.id_of)
    except DatasetError:
        columns = Columns()
    if columns.omissions:
        result.omissions.append(
            f"{columns.omissions} columns or keys of {name}, which no path finds"
        )
    if columns.fields:
        # An id of its own: the file's is taken.
        record = {
            "@type": "cr:RecordSet",
            "@id": result.id_of(f"rows/{own}"),
            "name": f"rows/{name}",
        }
        result.records.append(record | {"field": columns.fields})
    else:
        result.omissions.append(f"the columns of {name}, which is no table of rows")


def _add_set(result: Distribution, name: str, endings: Counter[str], media: dict[str, str]) -> None:
    """Take the endings that are known out of ``endings``, as one set of files."""
    own = {ending: endings.pop(ending) for ending in sorted(endings) if ending in media}
    if own:
        result.files.append(
            {
                "@type": "cr:FileSet",
                "@id": result.id_of(name),
                "name": name,
                "description": f"{sum(own.values())} files",
                "encodingFormat": sorted({media[ending] for ending in own}),
                "includes": [f"**/*{ending}" for ending in own],
            }
        )
