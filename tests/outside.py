"""Another package, as an installation would leave it beside ours: modules and entry points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Entries = Mapping[str, Mapping[str, str]]
"""Group -> name -> ``module:attribute``."""


def install(site: Path, files: Mapping[str, str], entries: Entries, name: str = "knees") -> None:
    """Write a package's files and its metadata into a folder that is then put on ``sys.path``."""
    for file, text in files.items():
        path = site / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.parent != site and path.suffix == ".py":
            (path.parent / "__init__.py").touch()
    info = site / f"{name}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    lines = [
        line
        for group, named in entries.items()
        for line in (f"[{group}]", *(f"{key} = {value}" for key, value in named.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
