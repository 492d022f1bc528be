"""Forget: remove what the machine's feature cache holds of pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vesalius.cases.picture import Picture
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError
from vesalius.models.feature_cache import FeatureCache, features_folder


def forget(path: Path, dataset: str | None = None) -> tuple[int, int]:
    """Remove the features of the pictures at ``path``: (pictures looked at, vectors removed).

    ``path`` is a picture, or a folder, whose files are all taken for pictures. A data set that
    holds its pictures in tables or archives, or makes them, is named by ``dataset``: it is then
    read from ``path`` and every picture of every split looked up. Vectors of texts do not know
    their picture, and all go. DatasetError if nothing is there.
    """
    pictures = _files(path) if dataset is None else _pictures(dataset, path)
    names = {picture.sha256() for picture in pictures}
    return len(names), FeatureCache(features_folder(), limit=0).forget(names)


def _files(path: Path) -> Iterator[Picture]:
    if not path.exists():
        raise DatasetError("there is no such file or folder", where=path)
    files = [path] if path.is_file() else path.rglob("*")
    yield from (Picture.from_file(file) for file in files if file.is_file())


def _pictures(dataset: str, root: Path) -> Iterator[Picture]:
    opened = open_dataset(dataset, root)
    for split in opened.splits():
        for case in opened.cases(split):
            yield from case.pictures
