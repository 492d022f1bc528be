"""YOLO's labels: a text file a picture, a line a box, in fractions of the picture's size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from vesalius.cases.case import Box, Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.boxed import Annotated
from vesalius.data.reading.delimited import split_lines
from vesalius.data.reading.listings import is_picture
from vesalius.data.reading.outlines import enclosing, pairs, rectangle
from vesalius.data.reading.streams import ALL, split_of
from vesalius.data.reading.texts import text
from vesalius.data.reading.yolo_lists import label_of
from vesalius.errors import DatasetError
from vesalius.system.tables import parse_yaml

EDGE = 0.05
"""How far over the edge a fraction may lie: annotators round, and augmentations cut late."""
NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
"""Files that name the classes, in the root or beside the labels."""
_NUMBER = r"[ \t]+-?[\d.]+(?:[eE][-+]?\d+)?"
_LABELS = re.compile(rf"(?:[ \t]*\d+(?:\.0*)?(?:{_NUMBER}){{4,}}[ \t]*(?:\r\n?|\n|\Z))+")


def is_labels(content: str) -> bool:
    """Whether a text is nothing but YOLO's lines: a class, and four or more numbers."""
    return bool(_LABELS.fullmatch(content.strip()))


def yolo_folders(root: Path) -> dict[str, tuple[Path, Path]]:
    """Split -> its folders of pictures and of labels.

    ``images/<split>`` with ``labels/<split>``, ``<split>/images`` with ``<split>/labels``, or both
    directly in ``root``.
    """
    folders = {}
    for labels in sorted({*root.glob("labels/*"), *root.glob("*/labels"), root / "labels"}):
        flat = labels.name == "labels"
        images = labels.parent / "images" if flat else root / "images" / labels.name
        split = split_of(labels.parent.name if flat else labels.name)
        if labels == root / "labels":
            split = ALL if any(labels.glob("*.txt")) else None
        if split and labels.is_dir() and images.is_dir():
            folders[split] = (images, labels)
    return folders


def yolo_names(root: Path, *beside: Path) -> dict[int, str]:
    """The class names of ``data.yaml`` (a list, or by number) or a list of lines; or none.

    Looked for in ``root``, then in the folders ``beside`` the labels.
    """
    files = (folder / name for folder in (root, *beside) for name in NAME_FILES)
    path = next((file for file in files if file.is_file()), None)
    if path is None:
        return {}
    content = text(path)
    if path.suffix.lower() not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in content.splitlines() if line.strip()))
    try:
        names = parse_yaml(content)["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in numbered}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DatasetError("there is no list of class names", where=path) from error


def yolo_rows(labels: Path, images: Path, names: dict[int, str]) -> Iterator[Annotated]:
    """Every picture in ``images`` with the boxes of the label file of the same name, if any."""
    files = label_files(labels)
    for number, picture in enumerate(pictures_in(images), start=1):
        boxes = _boxes(picture, files.get(picture.stem), names)
        yield Annotated(Source(images.as_posix(), number), picture.name, None, boxes)


def yolo_listed_rows(
    pictures: Sequence[Path], root: Path, names: dict[int, str]
) -> Iterator[Annotated]:
    """The pictures, named by their path below ``root``, each with the boxes of its label file."""
    for number, picture in enumerate(pictures, start=1):
        path = label_of(picture, root)
        boxes = _boxes(picture, path if path.is_file() else None, names)
        name = picture.relative_to(root).as_posix()
        yield Annotated(Source(picture.parent.as_posix(), number), name, None, boxes)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, in order."""
    return sorted(path for path in folder.iterdir() if is_picture(path.name))


def _boxes(picture: Path, labels: Path | None, names: dict[int, str]) -> tuple[Box, ...]:
    lines = [] if labels is None else list(split_lines(labels, None))
    size = Picture.from_file(picture).size() if lines else (0, 0)
    return tuple(_yolo_box(fields, size, names, where) for where, fields in lines)


def label_files(labels: Path) -> dict[str, Path]:
    """The label files of a folder by the name of their picture without its ending."""
    return {
        path.stem: path
        for path in sorted(labels.iterdir())
        if path.suffix.lower() == ".txt" and path.name not in NAME_FILES
    }


def _yolo_box(
    fields: Sequence[str], size: tuple[int, int], names: dict[int, str], where: Source
) -> Box:
    try:
        kind, *numbers = int(float(fields[0])), *map(float, fields[1:])
    except (ValueError, OverflowError) as error:
        raise DatasetError("not a YOLO label: class and numbers", where=where) from error
    if names and kind not in names:
        raise DatasetError(f"class {kind} is not among the {len(names)} named ones", where=where)
    drawn = len(numbers) >= 6 and len(numbers) % 2 == 0
    if not drawn and len(numbers) not in (4, 5):  # the fifth is a confidence
        raise DatasetError(f"{len(numbers)} numbers where 4 are expected", where=where)
    far = next((number for number in numbers if not -EDGE <= number <= 1 + EDGE), None)
    if far is not None:
        hint = "YOLO's centre x, centre y, width, height are from 0 to 1: divide pixels by the size"
        raise DatasetError(f"{far:g} is no fraction of the picture", where=where, hint=hint)
    label, (width, height) = names.get(kind, str(kind)), size
    if drawn:
        outline = pairs([n * (height if at % 2 else width) for at, n in enumerate(numbers)], where)
        return enclosing(outline, label, where)
    x, y, w, h = numbers[:4]
    return rectangle(
        [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height], label, where
    )
