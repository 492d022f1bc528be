"""Brain tumour slices as exported from Roboflow: a COCO file beside the pictures of each split."""

from __future__ import annotations

import hashlib
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from vesalius.cases.case import Box
from vesalius.data.phantoms.scene import table
from vesalius.data.synthetic import Cohort, Drawn, Layout
from vesalius.data.synthetic.tables import write_json
from vesalius.system.files import write_atomic

SPLITS = {"train": "train", "validation": "valid", "test": "test"}
FAMILIES = ("head_mr_t1", "head_mr_t2")


def write(root: Path, cohort: Cohort) -> None:
    """``{train,valid,test}/_annotations.coco.json``, pictures named as Roboflow names them."""
    for split, held in cohort.items():
        for one in held:
            write_atomic(root / SPLITS[split] / name_of(one), one.picture)
        write_json(root / SPLITS[split] / "_annotations.coco.json", _coco(list(held)))


def name_of(one: Drawn) -> str:
    """``<original>_png.rf.<hash>.png``: an export's name, without augmented copies."""
    digest = hashlib.sha256(one.case.id.encode()).hexdigest()[:32]
    return f"{one.case.id}_png.rf.{digest}.png"


def _coco(held: list[Drawn]) -> dict[str, Any]:
    kinds = list(dict.fromkeys(k for name in FAMILIES for k in table()["families"][name]["kinds"]))
    numbers, images, annotations = count(1), [], []
    for at, one in enumerate(held):
        with Image.open(BytesIO(one.picture)) as image:
            width, height = image.size
        images.append({"id": at, "file_name": name_of(one), "width": width, "height": height})
        for box in one.case.boxes or ():
            category = 1 + kinds.index(box.label)
            annotations.append({"id": next(numbers), "image_id": at} | _annotation(box, category))
    # Roboflow puts an empty super-category first.
    categories = [{"id": 0, "name": "brain", "supercategory": "none"}]
    categories += [{"id": 1 + n, "name": k, "supercategory": "brain"} for n, k in enumerate(kinds)]
    return {"images": images, "categories": categories, "annotations": annotations}


def _annotation(box: Box, category: int) -> dict[str, Any]:
    return {
        "category_id": category,
        "bbox": [box.x, box.y, box.width, box.height],
        "area": box.width * box.height,
        "segmentation": [],
        "iscrowd": 0,
    }


LAYOUT = Layout(
    write,
    families=FAMILIES,
    options={"layout": "coco", "negatives": True},
    keeps=("negatives", "label"),
)
