"""Brain tumour boxes on MRI slices: COCO, YOLO and VIA exports, and JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vesalius.data.datasets.brain_tumor_files import line_rows, object_rows
from vesalius.data.reading.album import Album
from vesalius.data.reading.boxed import Annotated, boxed_cases
from vesalius.data.reading.coco import coco_rows
from vesalius.data.reading.folders import below, entries
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.streams import (
    ALL,
    Streams,
    split_files,
    split_of,
    unknown_layout,
)
from vesalius.data.reading.via import via_rows
from vesalius.data.reading.yolo import require_pictures, yolo_folders, yolo_rows
from vesalius.data.reading.yolo_classes import yolo_names
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

Layout = Literal["lines", "coco", "yolo", "via"]


class BrainTumorOptions(Frozen):
    """Which layout, and what an image without boxes means."""

    layout: Layout | None = None
    """``lines``: <split>.jsonl; ``coco``: _annotations.coco.json or <split>.coco.json;
    ``yolo``: labels/*.txt; ``via``: annotations_*.json. The first one found by default."""
    negatives: bool = False
    """An image without a box is a negative (no tumour). Otherwise it is not annotated: an image
    whose label is missing is given neither a box nor the word "healthy"."""
    label: str = "tumor"
    """What a VIA region without attributes shows."""


class BrainTumor:
    """Slices with the boxes, and where drawn the outlines, of tumours."""

    options = BrainTumorOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`BrainTumorOptions`."""
        chosen = validated(BrainTumorOptions, options, where="options of brain_tumor")
        splits: dict[str, tuple[Path, Callable[[], Iterator[Annotated]]]]
        if root is None or hub:
            parts = hub_splits(str(hub))
            splits = {s: (Path(), partial(object_rows, rows)) for s, rows in parts.items()}
            root = Path()
        else:
            splits = _find_splits(root, chosen)
        return Streams(
            "brain_tumor",
            {
                split: partial(
                    boxed_cases,
                    rows,
                    Album(root, [folder]),
                    split,
                    identity=lambda name: Path(name).stem,
                    negatives=chosen.negatives,
                    modality="MR",
                )
                for split, (folder, rows) in splits.items()
            },
        )


Splits = dict[str, tuple[Path, Callable[[], Iterator[Annotated]]]]


def _find_splits(root: Path, options: BrainTumorOptions) -> Splits:
    layouts: dict[Layout, Callable[[Path, BrainTumorOptions], Splits]] = {
        "lines": _lines,
        "coco": _coco,
        "yolo": _yolo,
        "via": _via,
    }
    for layout, find in layouts.items():
        if options.layout in (None, layout):
            splits = find(root, options)
            if splits:
                return splits
    raise unknown_layout(
        root, "<split>.jsonl", "_annotations.coco.json", "labels/*.txt", "annotations_*.json"
    )


def _lines(root: Path, _: BrainTumorOptions) -> Splits:
    return {s: (root, partial(line_rows, p)) for s, p in split_files(root, ".jsonl").items()}


def _coco(root: Path, _: BrainTumorOptions) -> Splits:
    files = {split_of(p.parent.name): p for p in below(root, "*/_annotations.coco.json")}
    beside: Splits = {s: (p.parent, partial(coco_rows, p)) for s, p in files.items() if s}
    alone = split_files(root, ".coco.json")
    images = root / "images" if (root / "images").is_dir() else root
    single = root / "_annotations.coco.json"
    whole: Splits = {ALL: (root, partial(coco_rows, single))} if single.is_file() else {}
    return beside or {s: (images, partial(coco_rows, p)) for s, p in alone.items()} or whole


def _yolo(root: Path, _: BrainTumorOptions) -> Splits:
    folders = yolo_folders(root)
    for images, labels in folders.values():
        require_pictures(images, labels)
    return {
        split: (images, partial(yolo_rows, labels, images, yolo_names(root, labels)))
        for split, (images, labels) in folders.items()
    }


def _via(root: Path, options: BrainTumorOptions) -> Splits:
    splits: Splits = {}
    for path in below(root, "**/annotations_*.json"):
        split = split_of(path.stem)
        if split is not None:
            if split in splits:
                fault = f"two annotation files for {split}"
                raise DatasetError(fault, where=path, hint="move one of them away")
            splits[split] = (_beside(path, root), partial(via_rows, path, options.label))
    whole = root / "annotations_all.json"
    if not splits and whole.is_file():
        splits[ALL] = (_beside(whole, root), partial(via_rows, whole, options.label))
    return splits


def _beside(path: Path, root: Path) -> Path:
    """The pictures lie with their annotations, or in ``images`` or a folder named as the split."""
    split = split_of(path.stem)
    named = [p for p in entries(root) if p.is_dir() and split and split_of(p.name) == split]
    for folder in (*named, path.parent / "images"):
        if folder.is_dir() and path.parent == root:
            return folder
    return path.parent
