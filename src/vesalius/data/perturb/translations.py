"""Questions as a translator gave them back, in a file of the run that is asked them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vesalius.system.files import read_lines

FILE = "back_translations.jsonl"


def translations(folder: Path) -> list[dict[str, Any]]:
    """The file's rows: ``question``, ``there``, ``back``, ``translator``; none without a file."""
    file = folder / FILE
    return [row for _, row in read_lines(file)] if file.exists() else []


def wordings(folder: Path) -> Mapping[str, str]:
    """Each question as it came back, by its own words."""
    return {row["question"]: row["back"] for row in translations(folder)}
