"""LabelMe's annotations: a JSON file a picture, with drawn shapes.

Source: https://github.com/wkentaro/labelme
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Source
from vesalius.data.reading.boxed import FLAGS, Annotated, size_in
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.outlines import Points, enclosing, outline_of, rectangle
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.rows import Cell
from vesalius.errors import DatasetError, ImageError

PICTURE = {
    *("version", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"),
    "flags",
}
SHAPE = {"label", "points", "shape_type", "flags"}
"""Flags are told of once a set (:func:`has_flags`)."""


def is_labelme(content: Any) -> bool:
    """Whether a JSON file's content is LabelMe's of one picture."""
    named = isinstance(content, dict) and isinstance(content.get("shapes"), list)
    return named and isinstance(content.get("imagePath"), str)


def has_flags(content: Any) -> bool:
    """Whether a picture, or one of its shapes, has a flag that is ticked."""
    if not isinstance(content, dict):
        return False
    shapes = (shape for shape in content.get("shapes") or () if isinstance(shape, dict))
    flags = (part.get("flags") for part in (content, *shapes))
    return any(any(ticked.values()) for ticked in flags if isinstance(ticked, dict))


def labelme_rows(paths: Sequence[Path], unnamed: str) -> Iterator[Annotated]:
    """Pictures with their shapes as boxes, which keep their outlines.

    The picture is the file that ``imagePath`` names, or else what the JSON file holds of it.
    """
    for path in paths:
        content = read_json(path)
        where = Source(path.as_posix(), 1)
        if not is_labelme(content):
            raise DatasetError("not a file of LabelMe's: no shapes, or no imagePath", where=where)
        name = content["imagePath"].replace("\\", "/")
        boxes = tuple(
            _box(shape, unnamed, Source(f"{path.as_posix()} shapes", number))
            for number, shape in enumerate(content["shapes"], start=1)
        )
        unread = (
            *unread_keys([content], PICTURE, "", FLAGS),
            *unread_keys(content["shapes"], SHAPE, "shapes.", FLAGS),
        )
        stored = _held(path, name, content.get("imageData"))
        size = size_in(content.get("imageWidth"), content.get("imageHeight"))
        yield Annotated(where, _beside(path, name), stored, boxes, unread, size)


def _beside(path: Path, name: str) -> str:
    """A name that leads out of the annotation's folder (``../images/a.png``), as its last part."""
    return name if (path.parent / name).is_file() else name.rpartition("/")[2]


def _held(path: Path, name: str, data: Any) -> Cell | None:
    beside = (path.parent / name).is_file() or (path.parent / name.rpartition("/")[2]).is_file()
    if beside or not isinstance(data, str) or not data:
        return None
    return Cell(partial(_decoded, data, path))


def _decoded(data: str, path: Path) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise ImageError("image_corrupt", "imageData is no base64", where=path) from error


def _box(shape: Any, unnamed: str, where: Source) -> Box:
    if not isinstance(shape, dict):
        raise DatasetError("not a shape", where=where)
    label = str(shape.get("label") or unnamed)
    points = _points(shape.get("points"), where)
    kind = str(shape.get("shape_type") or "polygon")
    if kind in ("rectangle", "mask") and len(points) == 2:
        (x, y), (right, bottom) = points
        sides = [min(x, right), min(y, bottom), abs(right - x), abs(bottom - y)]
        return rectangle(sides, label, where)
    if kind == "circle" and len(points) == 2:
        (x, y), edge = points
        drawn = {"name": "circle", "cx": x, "cy": y, "r": math.dist((x, y), edge)}
        return enclosing(outline_of(drawn, where), label, where)
    if kind == "polygon":
        return enclosing(points, label, where)
    hint = "draw a rectangle, a polygon or a circle, or take it out"
    fault = f"a shape of the type {kind} with {len(points)} points is no region"
    raise DatasetError(fault, where=where, hint=hint)


def _points(listed: Any, where: Source) -> Points:
    try:
        return tuple((float(x), float(y)) for x, y in listed)
    except (TypeError, ValueError) as error:
        raise DatasetError("the points of a shape are no list of [x, y]", where=where) from error
