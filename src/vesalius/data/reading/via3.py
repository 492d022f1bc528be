"""Projects of the VGG Image Annotator 3: files, views of them, and regions drawn on the views.

Source: https://gitlab.com/vgg/via, via-3.x.y/CodeDoc.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Remark, Source
from vesalius.data.reading.boxed import Annotated
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.outlines import enclosing, pairs, shape_box
from vesalius.data.reading.rows import required
from vesalius.errors import DatasetError

PARTS = ("file", "view", "metadata")
SHAPES: Mapping[int, tuple[str, tuple[str, ...]]] = {
    2: ("rect", ("x", "y", "width", "height")),
    3: ("circle", ("cx", "cy", "r")),
    4: ("ellipse", ("cx", "cy", "rx", "ry")),
    8: ("rect", ("x", "y", "width", "height")),
    9: ("circle", ("cx", "cy", "r")),
}
"""Shapes by the number that a region's coordinates begin with."""
POLYGONS = (6, 7)
WHOLE = Remark("unread_column", "attributes of whole pictures, or of times in films, are not read")
SECOND = Remark("unread_column", "of a region's attributes only the first is read, as its label")


def is_via3(content: Any) -> bool:
    """Whether a JSON file's content is a project of version 3."""
    return isinstance(content, dict) and all(isinstance(content.get(p), dict) for p in PARTS)


def via3_rows(path: Path, unnamed: str) -> Iterator[Annotated]:
    """The project's pictures with their regions; ``unnamed`` is the label of bare regions."""
    content = read_json(path)
    if not is_via3(content):
        raise DatasetError("not a project of VIA 3", where=path)
    labels = _option_names(content.get("attribute") or {})
    boxes: dict[str, list[Box]] = {}
    unread: dict[Remark, None] = {}
    for number, region in enumerate(content["metadata"].values(), start=1):
        where = Source(f"{path.as_posix()} metadata", number)
        drawn = region.get("xy") if isinstance(region, dict) else None
        if not drawn:
            unread[WHOLE] = None
            continue
        values = region.get("av") or {}
        label = _label(values, labels) or unnamed
        if sum(bool(value) for value in values.values()) > 1:
            unread[SECOND] = None
        for file in _files_of(content["view"], region.get("vid"), where):
            boxes.setdefault(file, []).append(_box(drawn, label, where))
    for number, (file, row) in enumerate(content["file"].items(), start=1):
        where = Source(f"{path.as_posix()} file", number)
        told = tuple(unread) if number == 1 else ()  # of the whole project
        name = required(row, where, "fname")
        yield Annotated(where, name, None, tuple(boxes.get(file, ())), told)


def _box(drawn: list[Any], label: str, where: Source) -> Box:
    kind, numbers = drawn[0], drawn[1:]
    if kind in POLYGONS:
        return enclosing(pairs(numbers, where), label, where)
    name, keys = SHAPES.get(kind, ("", ()))
    if not name or len(keys) != len(numbers):
        hint = "draw rectangles, circles, ellipses or polygons"
        fault = f"a region of the shape {kind!r} with {len(numbers)} numbers has no area"
        raise DatasetError(fault, where=where, hint=hint)
    shape = {"name": name, **dict(zip(keys, numbers, strict=True))}
    return shape_box(shape, label, where)


def _files_of(views: Mapping[str, Any], view: Any, where: Source) -> list[str]:
    held = views.get(str(view))
    if not isinstance(held, dict):
        raise DatasetError(f"a region of the view {view!r}, which is not there", where=where)
    return [str(file) for file in held.get("fid_list") or ()]


def _option_names(attributes: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {key: one.get("options") or {} for key, one in attributes.items()}


def _label(values: Mapping[str, Any], names: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The first attribute that says something; options by their names, several with commas."""
    for key, value in values.items():
        options = names.get(key) or {}
        chosen = [str(options.get(one, one)) for one in str(value).split(",") if one]
        if chosen and value:
            return ", ".join(chosen) if options else str(value)
    return None
