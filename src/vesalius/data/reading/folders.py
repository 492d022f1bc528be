"""What lies in a folder or below it, without what systems leave there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

LEFT = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin"})
"""In small letters, what Windows, macOS and network drives leave in folders of pictures."""


def is_left(path: PurePath) -> bool:
    """Whether a relative path is hidden, or what a system leaves: ``._1.png``, ``Thumbs.db``.

    macOS writes ``._`` files beside all others on drives of other systems and into archives, with
    the same ending: read, each would be a damaged picture or table.
    """
    return any(part.startswith(".") or part.lower() in LEFT for part in path.parts)


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, in order."""
    return sorted(path for path in folder.iterdir() if not is_left(PurePath(path.name)))


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder, in order; none where there is no such folder."""
    below = entries(root) if root.is_dir() else []
    return [path for path in below if path.is_dir() and not path.name.startswith("__")]


def below(root: Path, pattern: str) -> Iterator[Path]:
    """What a pattern finds below a folder, in order, as ``**/*.txt`` does."""
    found = sorted(path for path in root.glob(pattern) if not is_left(path.relative_to(root)))
    yield from found
