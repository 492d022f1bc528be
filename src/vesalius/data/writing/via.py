"""The VGG Image Annotator's JSON export (version 2): ``via_<split>.json`` with ``images/<split>``.

Source: https://gitlab.com/vgg/via, via-2.x.y/CodeDoc.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box
from vesalius.data.reading.via import CROWD
from vesalius.data.writing.page import (
    FOLDERS,
    Classes,
    Format,
    Page,
    images_of,
    in_splits,
    outline_for,
)
from vesalius.system.files import write_json


def write(folder: Path, pages: Sequence[Page], classes: Classes) -> int:  # noqa: ARG001
    """A file a split; classes stand in the attribute ``label``, by name."""
    for split, some in in_splits(pages).items():
        content = {f"{page.name}{page.bytes}": _picture(page) for page in some}
        write_json(folder / f"via_{FOLDERS[split] or split}.json", content)
    return sum(outline_for(box) is not None for page in pages for box in page.boxes)


def _picture(page: Page) -> dict[str, Any]:
    regions = [_region(box) for box in page.boxes]
    return {
        "filename": page.name,
        "size": page.bytes,
        "regions": regions,
        "file_attributes": {},
    }


def _region(box: Box) -> dict[str, Any]:
    outline = outline_for(box)
    shape: dict[str, Any] = {"name": "rect", "x": box.x, "y": box.y}
    shape |= {"width": box.width, "height": box.height}
    if outline is not None:
        xs, ys = zip(*outline, strict=True)
        shape = {"name": "polygon", "all_points_x": list(xs), "all_points_y": list(ys)}
    attributes = {"label": box.label} | ({CROWD: "1"} if box.crowd else {})
    return {"shape_attributes": shape, "region_attributes": attributes}


FORMAT = Format("VIA", images_of, write, crowd=True)
