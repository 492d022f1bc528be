"""The rows of the set's JSON lines and of its hub copies: an image and its boxes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Source
from vesalius.data.reading.boxed import Annotated, size_in
from vesalius.data.reading.coco import segment
from vesalius.data.reading.outlines import outline_of, outlined, rectangle
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.rows import Row, Rows, image_id, required
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError

LINE = {
    *("image", "boxes", "width", "height", "original_width", "original_height"),
    "official_split",
}
BOX = {"bbox", "label", "shape", "segmentation", "area"}
HUB = {"image", "image_id", "objects", "width", "height"}
OBJECTS = {"bbox", "category", "id", "area"}


def line_rows(path: Path) -> Iterator[Annotated]:
    """Rows of ``image`` and ``boxes``, each ``bbox``, ``label`` and a shape or a segmentation."""
    for where, row in read_rows(path):
        boxes = row.get("boxes") or []
        if not isinstance(boxes, list):
            raise DatasetError("boxes is not a list", where=where)
        drawn = tuple(_line(box, where) for box in boxes)
        unread = (*unread_keys([row], LINE), *unread_keys(boxes, BOX, "boxes."))
        size = size_in(row.get("width"), row.get("height"))
        yield Annotated(where, required(row, where, "image"), None, drawn, unread, size)


def _line(box: Any, where: Source) -> Box:
    if not isinstance(box, dict) or "bbox" not in box:
        raise DatasetError("a box has no bbox", where=where)
    shape = box.get("shape")
    outline = outline_of(shape, where) if isinstance(shape, dict) else None
    drawn = (outline,) if outline else segment(box.get("segmentation"), where)
    return outlined(rectangle(box["bbox"], str(box.get("label", "tumor")), where), drawn)


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
        unread = (*unread_keys([row], HUB), *unread_keys([held], OBJECTS, "objects."))
        size = size_in(row.get("width"), row.get("height"))
        yield Annotated(where, _hub_name(row, where), row.get("image"), boxes, unread, size)


def _hub_name(row: Row, where: Source) -> str:
    return image_id(row, where, "image_id" if row.get("image_id") is not None else "image")
