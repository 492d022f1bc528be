"""YOLO's labels: ``labels/<split>/*.txt`` with ``images/<split>``, and ``data.yaml``.

Source: https://docs.ultralytics.com/datasets/detect and https://docs.ultralytics.com/datasets/segment
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import yaml

from vesalius.data.reading.outlines import Points
from vesalius.data.writing.page import (
    FOLDERS,
    Classes,
    Format,
    Page,
    cut,
    images_of,
    in_splits,
    outline_for,
)
from vesalius.system.files import write_atomic


def write(folder: Path, pages: Sequence[Page], classes: Classes) -> int:
    """A label file a picture, empty for one that shows nothing, and the names of the classes."""
    for page in pages:
        place = folder / f"labels/{FOLDERS[page.split]}" / f"{page.stem}.txt"
        write_atomic(place, "".join(f"{line}\n" for line in _lines(page, classes)))
    splits = {FOLDERS[s]: images_of(s) for s in in_splits(pages) if FOLDERS[s]}
    names = {"names": {number: name for name, number in classes.items()}}
    write_atomic(
        folder / "data.yaml", yaml.safe_dump(splits | names, allow_unicode=True, sort_keys=False)
    )
    return sum(len(_outlines(page)) for page in pages)


def _outlines(page: Page) -> list[Points]:
    """The outlines of all boxes, or none: in a file with one outline every line is read as one."""
    outlines = [outline for box in page.boxes if (outline := outline_for(box)) is not None]
    return outlines if len(outlines) == len(page.boxes) else []


def _lines(page: Page, classes: Classes) -> list[str]:
    width, height = page.size
    outlines = _outlines(page)
    numbers: list[list[float]]
    if outlines:
        numbers = [
            list(chain.from_iterable((_within(x / width), _within(y / height)) for x, y in outline))
            for outline in outlines
        ]
    else:
        edges = [cut(box, page.size) for box in page.boxes]
        numbers = [
            [(l + r) / 2 / width, (t + b) / 2 / height, (r - l) / width, (b - t) / height]
            for l, t, r, b in edges  # noqa: E741
        ]
    return [
        " ".join([str(classes[box.label]), *(f"{number:.10g}" for number in some)])
        for box, some in zip(page.boxes, numbers, strict=True)
    ]


def _within(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))


FORMAT = Format("YOLO", images_of, write, numbers=0)
