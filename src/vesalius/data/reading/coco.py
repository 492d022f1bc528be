"""COCO's annotations: images with boxes of categories, or with captions, in one JSON file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Remark, Source
from vesalius.data.reading.boxed import FLAGS, Annotated, size_in
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.listings import same_name
from vesalius.data.reading.outlines import (
    ROTATION,
    Points,
    around,
    outlined,
    pairs,
    rectangle,
    turned,
)
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.rows import Located, Row, mapping, required
from vesalius.errors import DatasetError

IMAGES = {
    *("id", "file_name", "width", "height", "license", "date_captured"),
    *("coco_url", "flickr_url"),
}
ANNOTATIONS = {
    *("id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"),
    "attributes",
}
CROWDS: Mapping[str, bool] = {
    **dict.fromkeys(("", "0", "false"), False),
    **dict.fromkeys(("1", "true"), True),
}
"""What ``iscrowd`` may say, as text in small letters."""
RUN_LENGTH = Remark(
    "unread_column", "of a segmentation that is run-length, or no outlines, the box is read"
)


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is COCO's: a list of images, and annotations of them."""
    listed = isinstance(content, dict) and isinstance(content.get("images"), list)
    return listed and isinstance(content.get("annotations"), list)


def is_unannotated(content: Any) -> bool:
    """Whether it is COCO's but for the annotations: nobody said what its images show."""
    named = isinstance(content, dict) and not isinstance(content.get("annotations"), list)
    return named and all(isinstance(content.get(n), list) for n in ("images", "categories"))


def has_captions(content: Any) -> bool:
    """Whether it is COCO's file of captions."""
    rows = content["annotations"] if is_coco(content) else []
    return any(isinstance(row, dict) and "caption" in row for row in rows)


def caption_rows(path: Path) -> Iterator[Located]:
    """COCO's images in order, each a row with its captions, in the file's order."""
    content = read_json(path)
    listed = _rows(content, "images", path)
    images = _require_distinct(listed, "id", identity)
    captions: dict[str | None, list[str]] = {}
    for where, row in _rows(content, "annotations", path):
        captions.setdefault(_listed(row, images, where), []).append(required(row, where, "caption"))
    for where, row in listed:
        named = required(row, where, "file_name")
        yield where, {"image": named, "caption": captions.get(identity(row.get("id")), "")}


def coco_rows(path: Path) -> Iterator[Annotated]:
    """COCO's images in order; a category without boxes, such as super-category 0, is no matter.

    Ids are compared as text: some programs write the same one as 7 here and as "7" there.
    DatasetError with the row for an id or a file name that stands twice, a category that is not
    there or has the name of another in use, and an annotation of an image that is not listed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DatasetError("not a COCO file: there is no list of images", where=path)
    labels = _labels(_rows(content, "categories", path))
    listed = _rows(content, "images", path)
    _require_distinct(listed, "file_name", lambda name: same_name(str(name)))
    images = _require_distinct(listed, "id", identity)
    annotations = _rows(content, "annotations", path)
    _require_distinct(annotations, "id", identity)
    _require_one_name(annotations, labels)
    boxes: dict[str | None, list[Box]] = {}
    remarks: dict[str | None, dict[Remark, None]] = {}
    for where, row in annotations:
        image = _listed(row, images, where)
        boxes.setdefault(image, []).append(_box(row, labels, where))
        remarks.setdefault(image, {}).update(dict.fromkeys(_unread(row, where)))
    for where, row in listed:
        own = identity(row.get("id"))
        unread = (*unread_keys([row], IMAGES, "images.", FLAGS), *remarks.get(own, ()))
        name = required(row, where, "file_name")
        size = size_in(row.get("width"), row.get("height"))
        yield Annotated(where, name, None, tuple(boxes.get(own, ())), unread, size)


def identity(value: Any) -> str | None:
    """An id as text, 7, 7.0 and "7" alike; None where there is none."""
    whole = isinstance(value, float) and value.is_integer()
    return None if value is None else str(int(value) if whole else value)


def _rows(content: Mapping[str, Any], name: str, path: Path) -> list[Located]:
    """The objects of one of the file's lists with their places; DatasetError for anything else."""
    listed = content.get(name) or []
    if not isinstance(listed, list):
        raise DatasetError(f"{name} is no list", where=path)
    places = (Source(f"{path.as_posix()} {name}", at) for at in range(1, len(listed) + 1))
    return [(where, mapping(row, where)) for where, row in zip(places, listed, strict=True)]


def _box(row: Row, labels: Mapping[str | None, str], where: Source) -> Box:
    label, drawn = _label(row, labels, where), segment(row.get("segmentation"), where)
    crowd = CROWDS.get(str(row.get("iscrowd", "")).lower())
    if crowd is None:
        raise DatasetError(f"iscrowd is 0 or 1, not {row['iscrowd']!r}", where=where)
    # Some programs leave out the box of what is outlined.
    numbers = row.get("bbox") or (around(drawn) if drawn else None)
    box = outlined(rectangle(numbers, label, where, crowd=crowd), drawn)
    angle = _attributes(row, where).get(ROTATION)
    return box if drawn or not angle else turned(box, angle, where)


def _label(row: Row, labels: Mapping[str | None, str], where: Source) -> str:
    number = row.get("category_id")
    label = labels.get(identity(number))
    if not label:
        fault = f"unknown category_id {number!r}" if label is None else f"{number!r} has no name"
        raise DatasetError(fault, where=where)
    return label


def _attributes(row: Row, where: Source) -> Row:
    return mapping(row.get("attributes") or {}, where)


def _unread(row: Row, where: Source) -> tuple[Remark, ...]:
    drawn = row.get("segmentation")
    masks = (RUN_LENGTH,) if drawn and not segment(drawn, where) else ()
    attributes = unread_keys(
        [_attributes(row, where)], (ROTATION,), "annotations.attributes.", FLAGS
    )
    return (*unread_keys([row], ANNOTATIONS, "annotations.", FLAGS), *attributes, *masks)


def _labels(categories: Sequence[Located]) -> dict[str | None, str]:
    """The categories' names by their ids; DatasetError for an id of two names."""
    labels: dict[str | None, str] = {}
    for where, row in categories:
        number, name = identity(row.get("id")), str(row.get("name") or "").strip()
        if labels.setdefault(number, name) != name:
            fault = f"the id {row.get('id')!r} is that of {labels[number]!r}, too"
            raise DatasetError(fault, where=where)
    return labels


def _require_distinct(
    rows: Sequence[Located], field: str, alike: Callable[[Any], str | None]
) -> set[str | None]:
    """What the rows have in a field; DatasetError names the second row of two with the same."""
    places: dict[str | None, Source] = {}
    for where, row in rows:
        value = row.get(field)
        if value is not None and places.setdefault(alike(value), where) != where:
            fault = f"the {field} {value!r} stands at row {places[alike(value)].row}, too"
            raise DatasetError(fault, where=where)
    return set(places)


def _require_one_name(annotations: Sequence[Located], labels: Mapping[str | None, str]) -> None:
    """DatasetError where boxes are of two categories with one name: by name they would be one."""
    numbers: dict[str, str | None] = {}
    for where, row in annotations:
        number = identity(row.get("category_id"))
        name = labels.get(number)
        if name and numbers.setdefault(name, number) != number:
            fault = f"the categories {numbers[name]} and {number} have one name, {name!r}"
            raise DatasetError(fault, where=where, hint="rename one, or give its boxes the other's")


def _listed(row: Row, images: Collection[str | None], where: Source) -> str | None:
    """The id of an annotation's image; DatasetError where no image has it."""
    image = row.get("image_id")
    if identity(image) not in images:
        raise DatasetError(f"annotations of image_id {image!r}, which is not listed", where=where)
    return identity(image)


def segment(segments: Any, where: Source) -> tuple[Points, ...]:
    """The outlines of a COCO segmentation's parts; none of a run-length mask."""
    if not isinstance(segments, list):
        return ()
    # A part of two points encloses nothing: what it was meant to be nobody knows.
    if not all(isinstance(part, list) and len(part) >= 6 for part in segments):
        return ()
    return tuple(pairs(part, where) for part in segments)
