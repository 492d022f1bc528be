"""The VGG Image Annotator's projects and exports (JSON and CSV): pictures with drawn regions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box, Source
from vesalius.data.reading.boxed import FLAGS, Annotated
from vesalius.data.reading.json_rows import read_json
from vesalius.data.reading.outlines import shape_box
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.rows import gathered, json_in, mapping, required
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError

IMAGE = {"filename", "size", "regions", "base64_img_data", "fileref"}
CSV_COLUMNS = {"filename", "region_shape_attributes", "region_attributes"}

CROWD = "iscrowd"
"""The region attribute that tells a region with many, after COCO's name for it."""
TICKED = ("1", "true", "yes")


def is_via(content: Any) -> bool:
    """Whether a JSON file's content is a project or an export of the annotator."""
    if not isinstance(content, dict) or not content:
        return False
    images = content.get("_via_img_metadata", content)
    return isinstance(images, dict) and all(
        isinstance(row, dict) and {"filename", "regions"} <= row.keys() for row in images.values()
    )


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
        said = (attributes_beside(region.get("region_attributes") or {}) for region in listed)
        whole = row.get("file_attributes")
        unread = (
            *unread_keys([row], {*IMAGE, "file_attributes"}, "", FLAGS),
            *unread_keys([whole] if isinstance(whole, dict) else [], (), "file_attributes."),
            *unread_keys(said, (), "region_attributes."),
        )
        yield Annotated(where, required(row, where, "filename"), None, boxes, unread)


def _region(region: Any, unnamed: str, where: Source) -> Box:
    if not isinstance(region, dict) or not isinstance(region.get("shape_attributes"), dict):
        raise DatasetError("a region has no shape", where=where)
    attributes = dict(mapping(region.get("region_attributes") or {}, where))
    crowd = str(attributes.pop(CROWD, "")).lower() in TICKED
    label = _label(attributes) or unnamed
    return shape_box(region["shape_attributes"], label, where, crowd=crowd)


def _label(attributes: dict[str, Any]) -> str | None:
    """The first attribute that says something: a text, a number, or the ticked boxes of a list."""
    for value in attributes.values():
        ticked = [name for name, on in value.items() if on] if isinstance(value, dict) else [value]
        if ticked and all(_says_something(name) for name in ticked):
            return ", ".join(map(str, ticked))
    return None


def _says_something(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number or (isinstance(value, str) and bool(value))


def attributes_beside(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes but the one that the label is taken from, and that of a crowd."""
    labels = (n for n, value in attributes.items() if n != CROWD and _label({n: value}))
    taken = (next(labels, None), CROWD)
    return {name: value for name, value in attributes.items() if name not in taken}


def via_csv_rows(path: Path, unnamed: str, encoding: str | None = None) -> Iterator[Annotated]:
    """The annotator's CSV export, a row a region; a picture without one has an empty shape."""

    def filename(where: Source, row: dict[str, Any]) -> str:
        return required(row, where, "filename")

    for name, located in gathered(lambda: read_rows(path, encoding), filename):
        boxes, beside = [], []
        for where, row in located:
            shape, said = (
                mapping(json_in(row[column] or "{}", column, where), where)
                for column in ("region_shape_attributes", "region_attributes")
            )
            if shape:
                region = {"shape_attributes": shape, "region_attributes": said}
                boxes.append(_region(region, unnamed, where))
                beside.append(attributes_beside(said))
        columns = {*CSV_COLUMNS, "file_size", "region_count", "region_id"}
        unread = unread_keys((row for _, row in located), columns, "", ("{}",))
        unread += unread_keys(beside, (), "region_attributes.")
        yield Annotated(located[0][0], name, None, tuple(boxes), unread)
