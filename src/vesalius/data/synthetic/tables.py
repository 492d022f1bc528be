"""What drawn layouts write alike: CSV and JSON files, and the names of UMLS concepts."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from vesalius.data.phantoms.scene import table
from vesalius.system.files import write_atomic


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A comma-separated file with a header, quoted where needed."""
    text = StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(rows)
    write_atomic(path, text.getvalue())


def write_json(path: Path, content: Any) -> None:
    """A JSON file, characters beyond ASCII written as they are."""
    write_atomic(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A JSON object a line."""
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_text(path: Path, lines: Iterable[str]) -> None:
    """Lines of text, each ended."""
    write_atomic(path, "".join(f"{line}\n" for line in lines))


def concept_names() -> dict[str, str]:
    """The phantoms' UMLS concepts (CUIs) and what they stand for, sorted."""
    names: dict[str, str] = {}
    for about in table()["families"].values():
        modality, region = about["concepts"]
        names |= {modality: about["modality"], region: about["organ"]}
        names |= {kind["concept"]: name for name, kind in about["kinds"].items()}
    return dict(sorted(names.items()))
