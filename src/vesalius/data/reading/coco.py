"""COCO's annotations: images with boxes of categories, or with captions, in one JSON file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Remark, Source
from vesalius.data.reading.boxed import FLAGS, Annotated, size_in
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.outlines import Points, outlined, pairs, rectangle
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.rows import Located, required
from vesalius.errors import DatasetError

IMAGES = {
    *("id", "file_name", "width", "height", "license", "date_captured"),
    *("coco_url", "flickr_url"),
}
ANNOTATIONS = {"id", "image_id", "category_id", "bbox", "segmentation", "area", "iscrowd"}
RUN_LENGTH = Remark(
    "unread_column", "of a segmentation that is run-length, or no outlines, the box is read"
)


def is_coco(content: Any) -> bool:
    """Whether a JSON file's content is COCO's: a list of images, and annotations of them."""
    listed = isinstance(content, dict) and isinstance(content.get("images"), list)
    return listed and isinstance(content.get("annotations"), list)


def has_captions(content: Any) -> bool:
    """Whether it is COCO's file of captions."""
    rows = content["annotations"] if is_coco(content) else []
    return any(isinstance(row, dict) and "caption" in row for row in rows)


def caption_rows(path: Path) -> Iterator[Located]:
    """COCO's images in order, each a row with its captions, in the file's order."""
    content = read_json(path)
    captions: dict[Any, list[str]] = {}
    for number, row in enumerate(content["annotations"], start=1):
        where = Source(f"{path.as_posix()} annotations", number)
        captions.setdefault(row.get("image_id"), []).append(required(row, where, "caption"))
    _require_listed(captions, content["images"], path)
    for number, row in enumerate(content["images"], start=1):
        where = Source(f"{path.as_posix()} images", number)
        named = required(row, where, "file_name")
        yield where, {"image": named, "caption": captions.get(row.get("id"), "")}


def coco_rows(path: Path) -> Iterator[Annotated]:
    """COCO's images in order; a category without boxes, such as super-category 0, is no matter.

    DatasetError with the row for an id or a file name that stands twice, a category that is not
    there, and an annotation of an image that is not listed.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise DatasetError("not a COCO file: there is no list of images", where=path)
    labels = _labels(content.get("categories") or [], path)
    _require_distinct(content["images"], "file_name", f"{path.as_posix()} images")
    images = _require_distinct(content["images"], "id", f"{path.as_posix()} images")
    annotations = content.get("annotations") or []
    _require_distinct(annotations, "id", f"{path.as_posix()} annotations")
    boxes: dict[Any, list[Box]] = {}
    remarks: dict[Any, dict[Remark, None]] = {}
    for number, row in enumerate(annotations, start=1):
        where = Source(f"{path.as_posix()} annotations", number)
        image = row.get("image_id")
        if image not in images:
            raise DatasetError(
                f"annotations of image_id {image!r}, which is not listed", where=where
            )
        boxes.setdefault(image, []).append(_box(row, labels, where))
        remarks.setdefault(image, {}).update(dict.fromkeys(_unread(row, where)))
    for number, row in enumerate(content["images"], start=1):
        where = Source(f"{path.as_posix()} images", number)
        own = row.get("id")
        unread = (*unread_keys([row], IMAGES, "images.", FLAGS), *remarks.get(own, ()))
        name = required(row, where, "file_name")
        size = size_in(row.get("width"), row.get("height"))
        yield Annotated(where, name, None, tuple(boxes.get(own, ())), unread, size)


def _box(row: Mapping[str, Any], labels: Mapping[Any, str], where: Source) -> Box:
    label = labels.get(row.get("category_id"))
    if label is None:
        raise DatasetError(f"unknown category_id {row.get('category_id')!r}", where=where)
    box = rectangle(row.get("bbox"), label, where, crowd=bool(row.get("iscrowd")))
    return outlined(box, segment(row.get("segmentation"), where))


def _unread(row: Mapping[str, Any], where: Source) -> tuple[Remark, ...]:
    drawn = row.get("segmentation")
    masks = (RUN_LENGTH,) if drawn and not segment(drawn, where) else ()
    return (*unread_keys([dict(row)], ANNOTATIONS, "annotations.", FLAGS), *masks)


def _labels(categories: Sequence[Mapping[str, Any]], path: Path) -> dict[Any, str]:
    """The categories' names by their ids; DatasetError for an id of two names."""
    labels: dict[Any, str] = {}
    for number, row in enumerate(categories, start=1):
        name = str(row.get("name"))
        if labels.setdefault(row.get("id"), name) != name:
            where = Source(f"{path.as_posix()} categories", number)
            fault = f"the id {row.get('id')!r} is that of {labels[row.get('id')]!r}, too"
            raise DatasetError(fault, where=where)
    return labels


def _require_distinct(rows: Sequence[Mapping[str, Any]], field: str, place: str) -> set[Any]:
    """What the rows have in a field; DatasetError names the second row of two with the same."""
    rows_of: dict[Any, int] = {}
    for number, row in enumerate(rows, start=1):
        value = row.get(field)
        if value is not None and rows_of.setdefault(value, number) != number:
            fault = f"the {field} {value!r} stands at row {rows_of[value]}, too"
            raise DatasetError(fault, where=Source(place, number))
    return set(rows_of)


def _require_listed(said: Iterable[Any], images: list[Any], path: Path) -> None:
    known = {row.get("id") for row in images}
    lost = next((identity for identity in said if identity not in known), None)
    if lost is not None:
        raise DatasetError(f"annotations of image_id {lost!r}, which is not listed", where=path)


def segment(segments: Any, where: Source) -> tuple[Points, ...]:
    """The outlines of a COCO segmentation's parts; none of a run-length mask."""
    if not isinstance(segments, list):
        return ()
    # A part of two points encloses nothing: what it was meant to be nobody knows.
    if not all(isinstance(part, list) and len(part) >= 6 for part in segments):
        return ()
    return tuple(pairs(part, where) for part in segments)
