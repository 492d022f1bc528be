"""Where YOLO's data.yaml or Darknet's obj.data say that the pictures of each split lie.

They were written on another machine as often as not: a path that is not there is looked for by its
last parts (``/content/drive/set/valid/images`` is ``valid/images``).
Source: https://docs.ultralytics.com/datasets/detect
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from vesalius.data.reading.folders import below
from vesalius.data.reading.listings import is_picture
from vesalius.data.reading.streams import SPLIT_NAMES
from vesalius.data.reading.texts import lines, text
from vesalius.errors import DatasetError
from vesalius.system.tables import parse_yaml

FILES = ("data.yaml", "dataset.yaml", "data.yml", "obj.data")


@dataclass(frozen=True, slots=True)
class Listed:
    """The pictures that a file names, by split, and what is to be said of it.

    ``absent``: splits that it names and that are not there.
    """

    file: str = ""
    pictures: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()


def listed(root: Path) -> Listed:
    """What ``data.yaml`` or ``obj.data`` in ``root`` or its folder ``data`` names.

    A split is a folder, a list of pictures in a text file, or several of these. DatasetError where
    a list names what is not there.
    """
    files = (folder / name for folder in (root, root / "data") for name in FILES)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return Listed()
    places = {
        split: [place for one in ones if (place := _below(root, one))]
        for split, ones in _named(path).items()
    }
    pictures = {
        split: tuple(dict.fromkeys(p for place in some for p in _pictures(root, place)))
        for split, some in places.items()
    }
    absent = tuple(split for split, some in places.items() if not some)
    return Listed(path.name, {s: some for s, some in pictures.items() if some}, absent)


def label_of(picture: Path, root: Path) -> Path:
    """The label file of a picture: beside it, or below ``labels`` for one below ``images``."""
    parts = list(picture.relative_to(root).parts)
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        parts[last] = "labels"
    return root.joinpath(*parts).with_suffix(".txt")


def _named(path: Path) -> dict[str, list[str]]:
    content = _settings(path) if path.suffix == ".data" else _yaml(path)
    named: dict[str, list[str]] = {}
    for key, value in content.items():
        split = SPLIT_NAMES.get(str(key).lower())
        ones = value if isinstance(value, list) else [value]
        if split and value and all(isinstance(one, str) for one in ones):
            named.setdefault(split, []).extend(ones)
    return named


def _yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_yaml(text(path))
    except yaml.YAMLError as error:
        raise DatasetError("not YAML", where=path) from error
    return content if isinstance(content, dict) else {}


def _settings(path: Path) -> Mapping[str, Any]:
    """Darknet's lines of ``key = value``."""
    given = (line.split("#")[0].partition("=") for line in lines(path))
    return {key.strip(): value.strip() for key, _, value in given if value.strip()}


def _below(root: Path, written: str) -> Path | None:
    """What a written path means below the root: the longest of its ends that is there."""
    parts = PurePosixPath(written.replace("\\", "/")).parts
    ends = [p for p in parts if p not in ("/", ".", "..") and not p.endswith(":")]
    tails = (root.joinpath(*ends[at:]) for at in range(len(ends)))
    return next((path for path in tails if path.exists()), None)


def _pictures(root: Path, place: Path) -> Iterable[Path]:
    if place.is_dir():
        inner = place / "images" if (place / "images").is_dir() else place
        return [path for path in below(inner, "**/*") if is_picture(path.name)]
    return _listed(root, place)


def _listed(root: Path, path: Path) -> Iterator[Path]:
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            picture = _below(root, line.strip())
            if picture is None or not picture.is_file():
                fault = "names a picture that is not there"
                raise DatasetError(fault, where=f"{path} line {number}")
            yield picture
