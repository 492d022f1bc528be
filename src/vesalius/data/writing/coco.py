"""COCO's annotations: ``annotations/instances_<split>.json`` with ``images/<split>``.

Source: https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

from vesalius.cases.case import Box
from vesalius.data.reading.outlines import Points
from vesalius.data.writing.page import FOLDERS, Classes, Format, Page, images_of, in_splits
from vesalius.system.files import write_json


def write(folder: Path, pages: Sequence[Page], classes: Classes) -> int:
    """A file a split; ids are counted from 1 over the whole set."""
    images, annotations = count(1), count(1)
    categories = [{"id": number, "name": name} for name, number in classes.items()]
    for split, some in in_splits(pages).items():
        content: dict[str, Any] = {"images": [], "annotations": [], "categories": categories}
        for page in some:
            image, (width, height) = next(images), page.size
            row = {"id": image, "file_name": page.name, "width": width, "height": height}
            content["images"].append(row)
            content["annotations"] += [
                {"id": next(annotations), "image_id": image, **_annotation(box, classes)}
                for box in page.boxes
            ]
        name = f"instances_{FOLDERS[split] or split}.json"
        write_json(folder / "annotations" / name, content)
    return sum(bool(box.outlines) for page in pages for box in page.boxes)


def _annotation(box: Box, classes: Classes) -> dict[str, Any]:
    area = sum(map(_area, box.outlines)) if box.outlines else box.width * box.height
    return {
        "category_id": classes[box.label],
        "bbox": [box.x, box.y, box.width, box.height],
        "area": area,
        "segmentation": [list(chain.from_iterable(outline)) for outline in box.outlines],
        "iscrowd": int(box.crowd),
    }


def _area(outline: Points) -> float:
    """The area within an outline, by the shoelace formula."""
    after = (*outline[1:], outline[0])
    twice = sum(x * v - u * y for (x, y), (u, v) in zip(outline, after, strict=True))
    return abs(twice) / 2


FORMAT = Format("COCO", images_of, write, numbers=1, gaps=True, crowd=True)
