"""Drawn regions as boxes: rectangles, polygons, ellipses and circles, with their places named."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from vesalius.cases.case import Box, Source
from vesalius.errors import DatasetError

Points = tuple[tuple[float, float], ...]
ROTATION = "rotation"
"""CVAT's attribute of a rectangle: degrees by which the box that stands there was turned."""
CORNERS = 32
"""How many points stand for an ellipse's outline."""


def rectangle(
    numbers: Any, label: str, where: Source, outline: Points | None = None, *, crowd: bool = False
) -> Box:
    """A box from [left, top, width, height] in pixels; DatasetError names file, row and numbers."""
    if numbers is None:
        hint = "write its [left, top, width, height]"
        raise DatasetError(f"no box is given: {label}", where=where, hint=hint)
    if isinstance(numbers, str) or len(numbers) != 4 or any(isinstance(n, bool) for n in numbers):
        fault = f"not a box: {label} {numbers!r}: left, top, width and height are four numbers"
        raise DatasetError(fault, where=where)
    try:
        x, y, width, height = (float(number) for number in numbers)
        if not all(map(math.isfinite, (x, y, width, height))):
            raise ValueError("not finite")
        return Box(x, y, width, height, label, polygon=outline, crowd=crowd)
    except (TypeError, ValueError, DatasetError) as error:
        raise DatasetError(f"not a box: {label} {numbers}: {error}", where=where) from error


def outlined(box: Box, outlines: Sequence[Points]) -> Box:
    """The box with the outlines of its parts, if there are any."""
    if len(outlines) == 1:
        return replace(box, polygon=outlines[0])
    return replace(box, polygons=tuple(outlines)) if outlines else box


def enclosing(outline: Points, label: str, where: Source) -> Box:
    """The smallest upright box around an outline, which it keeps as its polygon."""
    if len(outline) < 3:
        raise DatasetError(f"an outline of {len(outline)} points encloses nothing", where=where)
    return rectangle(around([outline]), label, where, outline)


def around(outlines: Iterable[Points]) -> list[float]:
    """Left, top, width and height of the smallest upright box around outlines."""
    xs, ys = zip(*chain.from_iterable(outlines), strict=True)
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def turned(box: Box, degrees: Any, where: Source) -> Box:
    """A rectangle turned clockwise about its centre: the upright box around it, and its outline.

    So CVAT writes one: upright, with its ``rotation`` beside it. Source: the CVAT manual, "Shape
    mode", and its COCO and Pascal VOC exports.
    """
    try:
        angle = math.radians(float(degrees) % 360)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"a rotation that is no number: {degrees!r}", where=where) from error
    if not angle:
        return box
    x, y = box.x + box.width / 2, box.y + box.height / 2
    corners = [
        (a * box.width / 2, b * box.height / 2) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
    cos, sin = math.cos(angle), math.sin(angle)
    outline = tuple((x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners)
    return replace(enclosing(outline, box.label, where), crowd=box.crowd)


def shape_box(shape: Mapping[str, Any], label: str, where: Source, *, crowd: bool = False) -> Box:
    """The box of a VGG Image Annotator shape; all but a rectangle keep their outline."""
    outline = outline_of(shape, where)
    box = enclosing(outline, label, where)
    drawn = None if shape.get("name") == "rect" else box.polygon
    return replace(box, polygon=drawn, crowd=crowd)


def pairs(numbers: Sequence[Any], where: Source) -> Points:
    """(x, y) points from a flat list x1, y1, x2, y2, ..."""
    try:
        flat = [float(number) for number in numbers]
        return tuple(zip(flat[::2], flat[1::2], strict=True))
    except (TypeError, ValueError) as error:
        raise DatasetError("an outline is not a list of x, y, x, y ...", where=where) from error


def outline_of(shape: Mapping[str, Any], where: Source) -> Points:
    """The outline of a VGG Image Annotator shape (polygon, polyline, rect, ellipse, circle)."""
    draw = _SHAPES.get(str(shape.get("name")))
    if draw is None:
        hint = f"known: {', '.join(_SHAPES)}"
        raise DatasetError(f"no such shape: {shape.get('name')!r}", where=where, hint=hint)
    try:
        return draw(shape)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"a {shape['name']} without {error}", where=where) from error


def _polygon(shape: Mapping[str, Any]) -> Points:
    xs, ys = map(float, shape["all_points_x"]), map(float, shape["all_points_y"])
    return tuple(zip(xs, ys, strict=True))


def _rect(shape: Mapping[str, Any]) -> Points:
    left, top = float(shape["x"]), float(shape["y"])
    right, bottom = left + float(shape["width"]), top + float(shape["height"])
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def _ellipse(shape: Mapping[str, Any]) -> Points:
    return _turned(shape, float(shape["rx"]), float(shape["ry"]), float(shape.get("theta", 0.0)))


def _circle(shape: Mapping[str, Any]) -> Points:
    return _turned(shape, float(shape["r"]), float(shape["r"]), 0.0)


def _turned(shape: Mapping[str, Any], across: float, down: float, theta: float) -> Points:
    """Points on an ellipse turned by ``theta`` radians; its four extremes are among them."""
    x, y, cos, sin = float(shape["cx"]), float(shape["cy"]), math.cos(theta), math.sin(theta)
    extremes = [math.atan2(-down * sin, across * cos), math.atan2(down * cos, across * sin)]
    steps = [2 * math.pi * number / CORNERS for number in range(CORNERS)]
    turns = sorted(
        {a % (2 * math.pi) for a in [*steps, *extremes, *(e + math.pi for e in extremes)]}
    )
    return tuple(
        (
            x + across * math.cos(t) * cos - down * math.sin(t) * sin,
            y + across * math.cos(t) * sin + down * math.sin(t) * cos,
        )
        for t in turns
    )


_SHAPES = {
    "polygon": _polygon,
    "polyline": _polygon,
    "rect": _rect,
    "ellipse": _ellipse,
    "circle": _circle,
}
