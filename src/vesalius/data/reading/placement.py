"""Where pictures lie beside what is said of them: folders of splits, and pictures nobody names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.case import Case
from vesalius.data.reading.folders import entries, subfolders
from vesalius.data.reading.listings import is_picture, same_name
from vesalius.data.reading.streams import ALL, one_a_split, split_of
from vesalius.errors import DatasetError

Start = Callable[[], Iterator[Case]]


@dataclass(frozen=True)
class Layout:
    """What a folder or file was taken for, and its cases by split."""

    words: str
    starts: Mapping[str, Start]


def split_folders(root: Path) -> dict[str, Path]:
    """The folders that are called after a split, by it; DatasetError for two of one split."""
    return one_a_split((path.name, path) for path in subfolders(root))


def split_places(root: Path) -> dict[str, Path]:
    """The folders of splits, or the root itself for a set without."""
    return split_folders(root) or {ALL: root}


def by_split(paths: Iterable[Path], base: Path) -> dict[str, Path]:
    """Files by the split that they, or their folder, are called after; DatasetError for two."""
    splits: dict[str, Path] = {}
    for path in paths:
        above = "" if path.parent == base else path.parent.name
        split = split_of(path.stem) or split_of(above) or ALL
        if split in splits:
            fault = f"two annotation files for {split}: {splits[split].name} and {path.name}"
            raise DatasetError(fault, where=base, hint="give the one you mean as the root")
        splits[split] = path
    return splits


def unnamed(names: Iterable[str], *beside: Path) -> str:
    """What is to be said of pictures directly in the folders ``beside`` that no name means.

    Names without a picture's ending mean pictures that are called so but for theirs.
    """
    last = {same_name(name).rpartition("/")[2] for name in names}
    there = {path for folder in beside for path in entries(folder) if is_picture(path.name)}
    loose = [p for p in there if same_name(p.name) not in last and same_name(p.stem) not in last]
    return f"; {len(loose)} pictures that it does not name are not read" if loose else ""
