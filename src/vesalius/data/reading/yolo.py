"""YOLO's labels: a text file a picture, a line a box, in fractions of the picture's size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vesalius.cases.case import Box, Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.boxed import Annotated
from vesalius.data.reading.delimited import split_lines
from vesalius.data.reading.folders import below
from vesalius.data.reading.listings import is_picture
from vesalius.data.reading.outlines import enclosing, pairs, rectangle
from vesalius.data.reading.streams import ALL, split_of
from vesalius.data.reading.yolo_classes import NAME_FILES
from vesalius.data.reading.yolo_lists import label_of
from vesalius.errors import DatasetError

EDGE = 0.05
"""How far over the edge a fraction may lie: annotators round, and augmentations cut late."""
_CLASS = re.compile(r"\d+(?:\.0*)?")
_NUMBER = r"[ \t]+-?[\d.]+(?:[eE][-+]?\d+)?"
_LABELS = re.compile(rf"(?:[ \t]*{_CLASS.pattern}(?:{_NUMBER}){{4,}}[ \t]*(?:\r\n?|\n|\Z))+")


def is_labels(content: str) -> bool:
    """Whether a text is nothing but YOLO's lines: a class, and four or more numbers."""
    return bool(_LABELS.fullmatch(content.strip()))


def yolo_folders(root: Path) -> dict[str, tuple[Path, Path]]:
    """Split -> its folders of pictures and of labels.

    ``images/<split>`` with ``labels/<split>``, ``<split>/images`` with ``<split>/labels``, or both
    directly in ``root``. DatasetError for labels both in folders of splits and beside these.
    """
    folders = {}
    for labels in sorted({*root.glob("labels/*"), *root.glob("*/labels")}):
        flat = labels.name == "labels"
        images = labels.parent / "images" if flat else root / "images" / labels.name
        split = split_of(labels.parent.name if flat else labels.name)
        if split and labels.is_dir() and images.is_dir():
            folders[split] = (images, labels)
    images, labels = root / "images", root / "labels"
    if not (images.is_dir() and labels.is_dir()):
        return folders
    if not folders and label_files(labels):
        return {ALL: (images, labels)}
    if folders and any("/" not in name for name in label_files(labels)):
        hint = "move them into the folder of their split"
        raise DatasetError("labels lie beside the folders of splits", where=labels, hint=hint)
    return folders


def yolo_rows(labels: Path, images: Path, names: dict[int, str]) -> Iterator[Annotated]:
    """Every picture below ``images`` with the boxes of the label file of the same name, if any."""
    files = label_files(labels)
    for number, (stem, picture) in enumerate(pictures_below(images).items(), start=1):
        boxes = _boxes(picture, files.get(stem), names)
        name = picture.relative_to(images).as_posix()
        yield Annotated(Source(images.as_posix(), number), name, None, boxes)


def yolo_listed_rows(
    pictures: Sequence[Path], root: Path, names: dict[int, str]
) -> Iterator[Annotated]:
    """The pictures, named by their path below ``root``, each with the boxes of its label file."""
    for number, picture in enumerate(pictures, start=1):
        path = label_of(picture, root)
        boxes = _boxes(picture, path if path.is_file() else None, names)
        name = picture.relative_to(root).as_posix()
        yield Annotated(Source(picture.parent.as_posix(), number), name, None, boxes)


def pictures_below(images: Path) -> dict[str, Path]:
    """The pictures in a folder and below it, by their path there without its ending, in order.

    DatasetError for two that differ by their ending alone: they would share a label file.
    """
    pictures: dict[str, Path] = {}
    for path in (path for path in below(images, "**/*") if is_picture(path.name)):
        stem = _stem(path, images)
        if pictures.setdefault(stem, path) != path:
            fault = f"{pictures[stem].name} and {path.name} would share one label file"
            raise DatasetError(fault, where=path.parent, hint="rename or move away one of them")
    return pictures


def unlabelled(images: Path, labels: Path) -> list[Path]:
    """The pictures without a label file."""
    files = label_files(labels)
    return [path for stem, path in pictures_below(images).items() if stem not in files]


def require_pictures(images: Path, labels: Path) -> None:
    """DatasetError for label files without a picture."""
    pictures = pictures_below(images)
    alone = [path for stem, path in label_files(labels).items() if stem not in pictures]
    if alone:
        fault = f"label files without a picture of their name: {len(alone)}, as {alone[0].name}"
        hint = "add the pictures, or move the labels away"
        raise DatasetError(fault, where=labels, hint=hint)


def _stem(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _boxes(picture: Path, labels: Path | None, names: dict[int, str]) -> tuple[Box, ...]:
    lines = [] if labels is None else list(split_lines(labels, None))
    size = Picture.from_file(picture).size() if lines else (0, 0)
    return tuple(_yolo_box(fields, size, names, where) for where, fields in lines)


def label_files(labels: Path) -> dict[str, Path]:
    """The label files in a folder and below it, by their picture's path without its ending."""
    return {
        _stem(path, labels): path
        for path in below(labels, "**/*")
        if path.suffix.lower() == ".txt" and path.name not in NAME_FILES
    }


def _class(field: str) -> int:
    """A class's number, written 7 or 7.0; ValueError for anything else."""
    if not _CLASS.fullmatch(field):
        raise ValueError(field)
    return int(field.partition(".")[0])


def _yolo_box(
    fields: Sequence[str], size: tuple[int, int], names: dict[int, str], where: Source
) -> Box:
    try:
        kind, *numbers = _class(fields[0]), *map(float, fields[1:])
    except ValueError as error:
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
