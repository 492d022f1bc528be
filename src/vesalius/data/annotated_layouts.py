"""Pictures with annotation files: COCO's, VIA's, Pascal VOC's and LabelMe's.

Each is known by what it holds, and says in a line what it was taken for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Case
from vesalius.data.folder_format import from_rows
from vesalius.data.reading.album import Album
from vesalius.data.reading.boxed import Annotated, boxed_cases
from vesalius.data.reading.coco import (
    caption_rows,
    coco_rows,
    has_captions,
    is_coco,
    is_unannotated,
)
from vesalius.data.reading.delimited import headings
from vesalius.data.reading.folders import entries, subfolders
from vesalius.data.reading.json_rows import json_object
from vesalius.data.reading.labelme import has_flags, is_labelme, labelme_rows
from vesalius.data.reading.placement import (
    Layout,
    by_split,
    split_places,
    unnamed,
)
from vesalius.data.reading.rows import Rows
from vesalius.data.reading.streams import split_files, split_of
from vesalius.data.reading.tables import READERS
from vesalius.data.reading.via import CSV_COLUMNS, is_via, via_csv_rows, via_rows
from vesalius.data.reading.via3 import is_via3, via3_rows
from vesalius.data.reading.voc import voc_rows, voc_sets
from vesalius.errors import DatasetError

UNNAMED = "finding"
"""What a region shows that has no label."""
MOST_DOCUMENTS = 24
"""JSON files in a folder that are looked into: more are not one annotation file a split."""
BARE = "a picture without one shows nothing"
Regions = Callable[[], Iterator[Annotated]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of annotation file: what is said of it, and its pictures with boxes or its rows."""

    words: str
    regions: Callable[[Path], Iterator[Annotated]] | None = None
    rows: Callable[[Path], Rows] | None = None
    bare: str = BARE

    def names(self, path: Path) -> list[str]:
        """The pictures that a file names; none of a file with a fault, which reading it tells."""
        if self.regions is not None:
            return _names(partial(self.regions, path))
        return [str(row["image"]) for _, row in self.rows(path)()] if self.rows else []

    def cases(self, path: Path, album: Album, split: str) -> Iterator[Case]:
        """A file's cases."""
        if self.regions is not None:
            return boxed_cases(partial(self.regions, path), album, split)
        located = self.rows(path)() if self.rows else iter(())
        return (from_rows([one], album, split) for one in located)


CAPTIONS = Kind("COCO captions", rows=lambda path: partial(caption_rows, path), bare="")
DOCUMENTS: tuple[tuple[Callable[[Any], bool], Kind], ...] = (
    (has_captions, CAPTIONS),
    (is_coco, Kind("COCO boxes", coco_rows)),
    (is_via, Kind("VIA regions", partial(via_rows, unnamed=UNNAMED))),
    (is_via3, Kind("VIA 3 regions", partial(via3_rows, unnamed=UNNAMED))),
)
"""Kinds of JSON files, by what tells that one is of it."""


def annotated_layout(root: Path, images: Path | None, encoding: str | None) -> Layout | None:
    """Annotation files in ``root`` or a folder of it, one a split or one a picture; else None.

    Pictures lie in ``images``, in a folder named after the split, or beside the annotations.
    """
    if root.is_dir() and not any(split_files(root, ending) for ending in READERS):
        labelled = _labelme_layout(root, images, encoding)
        if labelled is not None:
            return labelled
    kinds: dict[Kind, list[Path]] = {}
    bare: list[Path] = []
    for path, content in _documents(root, encoding):
        kind = next((kind for of_it, kind in DOCUMENTS if of_it(content)), None)
        if kind is not None:
            kinds.setdefault(kind, []).append(path)
        elif is_unannotated(content):
            bare.append(path)
    tables = _region_tables(root, encoding)
    if tables:
        regions = partial(via_csv_rows, unnamed=UNNAMED, encoding=encoding)
        kinds[Kind("VIA regions (CSV)", regions)] = tables
    if bare and not kinds:
        hint = "an empty list says that its pictures show nothing"
        raise DatasetError("COCO's file without a list of annotations", where=bare[0], hint=hint)
    if not kinds:
        return None
    if len(kinds) > 1:
        fault = f"{' and '.join(kind.words for kind in kinds)} stand here together"
        raise DatasetError(fault, where=root, hint="give the file that you mean as the root")
    ((kind, paths),) = kinds.items()
    return _one_a_split(_set_of(root) if root.is_file() else root, kind, paths, images)


def _set_of(file: Path) -> Path:
    """The folder of the set of one annotation file: above ``annotations``, as COCO's lies."""
    beside = file.parent
    return beside.parent if beside.name.lower() == "annotations" else beside


def _one_a_split(base: Path, kind: Kind, paths: list[Path], images: Path | None) -> Layout:
    starts, names, beside = {}, [], set()
    for split, path in by_split(paths, base).items():
        album = _album(base, path, split, images)
        starts[split] = partial(kind.cases, path, album, split)
        names += kind.names(path)
        beside |= {place for place in album.places if place.is_dir()}
    listed = ", ".join(path.relative_to(base).as_posix() for path in paths)
    bare = f"; {kind.bare}" if kind.bare else ""
    return Layout(f"{kind.words}: {listed}{bare}{unnamed(names, *beside)}", starts)


def voc_layout(root: Path, images: Path | None) -> Layout | None:
    """Pascal VOC's files, one a picture; None where there are none of them."""
    sets = voc_sets(root)
    regions: dict[str, tuple[Path, Regions]] = {
        split: (one.folder, partial(voc_rows, one)) for split, one in sets.items()
    }
    return _of_pictures(root, "Pascal VOC boxes", regions, images) if regions else None


def _labelme_layout(root: Path, images: Path | None, encoding: str | None) -> Layout | None:
    regions: dict[str, tuple[Path, Regions]] = {}
    flagged = 0
    for split, folder in split_places(root).items():
        for place in (folder, folder / "annotations", folder / "labels", folder / "json"):
            files = _labelme_files(place, encoding) if place.is_dir() else []
            if files and split not in regions:
                regions[split] = (place, partial(labelme_rows, files, UNNAMED))
                flagged += sum(has_flags(json_object(path, encoding)) for path in files)
    if not regions:
        return None
    flags = f"; flags of {flagged} pictures are not read" if flagged else ""
    layout = _of_pictures(root, "LabelMe regions", regions, images)
    return Layout(layout.words + flags, layout.starts)


def _of_pictures(
    root: Path, words: str, regions: Mapping[str, tuple[Path, Regions]], images: Path | None
) -> Layout:
    starts, names, beside = {}, [], set()
    for split, (folder, rows) in regions.items():
        above = folder if folder == root else folder.parent
        pictures = [above / name for name in ("JPEGImages", "images", "Images")]
        places = [folder, *pictures, above]
        existing = [
            p for p in dict.fromkeys([*([images] if images else []), *places]) if p.is_dir()
        ]
        starts[split] = partial(boxed_cases, rows, Album(root, existing, folder), split)
        names += _names(rows)
        beside |= set(existing)
    return Layout(f"{words}, a file a picture{unnamed(names, *beside)}", starts)


def _names(rows: Regions) -> list[str]:
    try:
        return [one.name for one in rows()]
    except DatasetError:  # raised again, with its place, when the cases are read
        return []


def _labelme_files(place: Path, encoding: str | None) -> list[Path]:
    paths = [p for p in entries(place) if p.suffix.lower() == ".json"]
    first = json_object(paths[0], encoding) if paths else None
    if not is_labelme(first):
        return []
    other = next((p for p in paths[1:] if not is_labelme(json_object(p, encoding))), None)
    if other is not None:
        fault = f"{other.name} is none of LabelMe's files, as the others here are"
        raise DatasetError(fault, where=place, hint="move it away")
    return paths


def _documents(root: Path, encoding: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    below = [root, *(d for d in subfolders(root) if split_of(d.name) or d.name == "annotations")]
    files = [root] if root.is_file() else [path for d in below for path in entries(d)]
    paths = [path for path in files if path.suffix.lower() == ".json"]
    for path in paths if len(paths) <= MOST_DOCUMENTS else []:
        content = json_object(path, encoding)
        if content is not None:
            yield path, content


def _region_tables(root: Path, encoding: str | None) -> list[Path]:
    files = [root] if root.is_file() else entries(root)
    tables = [path for path in files if path.suffix.lower() == ".csv" and path.is_file()]
    return [path for path in tables if set(headings(path, encoding)) >= CSV_COLUMNS]


def _album(base: Path, path: Path, split: str, images: Path | None) -> Album:
    below, beside = (*subfolders(base), *subfolders(base / "images")), path.parent
    named = [
        # CVAT's part without a name: instances_default.json with images/default.
        d
        for d in below
        if split_of(d.name) == split or path.stem.endswith(f"_{d.name}")
    ]
    places = [*named, beside, beside / "images", base, base / "images"]
    return Album(base, [*([images] if images else []), *dict.fromkeys(places)], base)
