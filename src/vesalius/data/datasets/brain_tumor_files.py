"""The rows of COCO, YOLO, VIA and JSON-lines annotation files: an image and its boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from vesalius.cases.case import Box, Source
from vesalius.data.reading.delimited import split_lines
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.listings import ENDINGS
from vesalius.data.reading.outlines import enclosing, outline_of, pairs, rectangle
from vesalius.data.reading.rows import Row, Rows, image_id, required
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError

Annotated = tuple[Source, str, Any, tuple[Box, ...]]
"""Where, the image's name, a stored picture or None, and the boxes (none: nothing is said)."""

TURNED = (5, 6, 7, 8)
"""EXIF orientations under which width and height change places when the picture is decoded."""


def line_rows(path: Path) -> Iterator[Annotated]:
    """Rows of ``image`` and ``boxes``, each ``bbox``, ``label`` and a shape or a segmentation."""
    for where, row in read_rows(path):
        boxes = row.get("boxes") or []
        if not isinstance(boxes, list):
            raise DatasetError("boxes is not a list", where=where)
        yield where, required(row, where, "image"), None, tuple(_line(b, where) for b in boxes)


def _line(box: Any, where: Source) -> Box:
    if not isinstance(box, dict) or "bbox" not in box:
        raise DatasetError("a box has no bbox", where=where)
    shape = box.get("shape")
    outline = outline_of(shape, where) if isinstance(shape, dict) else None
    drawn = outline or _segment(box.get("segmentation"), where)
    return rectangle(box["bbox"], str(box.get("label", "tumor")), where, drawn)


def coco_rows(path: Path) -> Iterator[Annotated]:
    """COCO's images in order; a category without boxes, such as super-category 0, is no matter."""
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DatasetError("not a COCO file: there is no list of images", where=path)
    labels = {row.get("id"): str(row.get("name")) for row in content.get("categories", [])}
    boxes: dict[Any, list[Box]] = {}
    for number, row in enumerate(content.get("annotations", []), start=1):
        where = Source(f"{path.as_posix()} annotations", number)
        label = labels.get(row.get("category_id"))
        if label is None:
            raise DatasetError(f"unknown category_id {row.get('category_id')!r}", where=where)
        drawn = _segment(row.get("segmentation"), where)
        boxes.setdefault(row.get("image_id"), []).append(
            rectangle(row.get("bbox"), label, where, drawn)
        )
    known = {row.get("id") for row in content["images"]}
    lost = next((identity for identity in boxes if identity not in known), None)
    if lost is not None:
        raise DatasetError(f"annotations of image_id {lost!r}, which is not listed", where=path)
    for number, row in enumerate(content["images"], start=1):
        where = Source(f"{path.as_posix()} images", number)
        yield where, required(row, where, "file_name"), None, tuple(boxes.get(row.get("id"), ()))


def _segment(segments: Any, where: Source) -> tuple[tuple[float, float], ...] | None:
    # One outline is kept; a region in several parts, or a run-length mask, only has its box.
    if isinstance(segments, list) and len(segments) == 1 and len(segments[0]) >= 6:
        return pairs(segments[0], where)
    return None


def object_rows(rows: Rows) -> Iterator[Annotated]:
    """Hub rows of ``image`` and ``objects`` (parallel lists ``bbox`` and ``category``)."""
    for where, row in rows():
        held = row.get("objects") or {}
        if not isinstance(held, dict):
            raise DatasetError("objects is not a mapping of lists", where=where)
        names = held.get("category") or []
        boxes = tuple(
            rectangle(box, str(names[at]) if at < len(names) else "tumor", where)
            for at, box in enumerate(held.get("bbox") or [])
        )
        yield where, _hub_name(row, where), row.get("image"), boxes


def _hub_name(row: Row, where: Source) -> str:
    return image_id(row, where, "image_id" if row.get("image_id") is not None else "image")


def via_rows(path: Path, unnamed: str) -> Iterator[Annotated]:
    """VGG Image Annotator exports or projects; ``unnamed`` is the label of bare regions."""
    content = read_json(path)
    images = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    if not isinstance(images, dict):
        raise DatasetError("not a VIA file: not a mapping of images", where=path)
    for number, row in enumerate(images.values(), start=1):
        where = Source(path.as_posix(), number)
        if not isinstance(row, dict):
            raise DatasetError("not a VIA image", where=where)
        regions = row.get("regions") or []
        listed = list(regions.values()) if isinstance(regions, dict) else regions
        boxes = tuple(_region(region, unnamed, where) for region in listed)
        yield where, required(row, where, "filename"), None, boxes


def _region(region: Any, unnamed: str, where: Source) -> Box:
    if not isinstance(region, dict) or not isinstance(region.get("shape_attributes"), dict):
        raise DatasetError("a region has no shape", where=where)
    labels = [
        v for v in (region.get("region_attributes") or {}).values() if isinstance(v, str) and v
    ]
    outline = outline_of(region["shape_attributes"], where)
    return enclosing(outline, labels[0] if labels else unnamed, where)


def yolo_names(root: Path) -> dict[int, str]:
    """The class names of ``data.yaml`` (a list, or a mapping from number); empty without one."""
    path = next((p for p in (root / "data.yaml", root / "dataset.yaml") if p.is_file()), None)
    if path is None:
        return {}
    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in numbered}
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise DatasetError("there is no list of class names", where=path) from error


def yolo_rows(labels: Path, images: Path, names: dict[int, str]) -> Iterator[Annotated]:
    """Every picture in ``images`` with the boxes of the label file of the same name, if any."""
    pictures = sorted(p for p in images.iterdir() if p.suffix.lower() in ENDINGS)
    for number, picture in enumerate(pictures, start=1):
        path = labels / f"{picture.stem}.txt"
        lines = list(split_lines(path, " ")) if path.is_file() else []
        size = _size(picture) if lines else (0, 0)
        boxes = tuple(_yolo_box(fields, size, names, where) for where, fields in lines)
        yield Source(images.as_posix(), number), picture.name, None, boxes


def _yolo_box(
    fields: Sequence[str], size: tuple[int, int], names: dict[int, str], where: Source
) -> Box:
    try:
        kind, *numbers = int(fields[0]), *(float(field) for field in fields[1:] if field)
    except ValueError as error:
        raise DatasetError(f"not a YOLO label: {' '.join(fields)}", where=where) from error
    if names and kind not in names:
        raise DatasetError(f"class {kind} is not in data.yaml", where=where)
    label, (width, height) = names.get(kind, str(kind)), size
    if len(numbers) >= 6 and len(numbers) % 2 == 0:
        outline = pairs([n * (height if at % 2 else width) for at, n in enumerate(numbers)], where)
        return enclosing(outline, label, where)
    if len(numbers) not in (4, 5):  # the fifth is a confidence
        raise DatasetError(f"{len(numbers)} numbers where 4 are expected", where=where)
    x, y, w, h = numbers[:4]
    return rectangle(
        [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height], label, where
    )


def _size(path: Path) -> tuple[int, int]:
    """Width and height as decoded, from the header alone: YOLO boxes are fractions of them."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(0x0112) in TURNED
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError("its size, which the boxes need, cannot be read", where=path) from error
    return (height, width) if turned else (width, height)
