"""Folders and files without a table of rows: COCO, VIA and YOLO boxes, class folders, captions.

Each is known by what it holds, and says in a line what it was taken for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Answer, Case, Question, Source
from vesalius.data.reading.album import Album
from vesalius.data.reading.boxed import Annotated, boxed_cases
from vesalius.data.reading.coco import coco_rows, is_coco
from vesalius.data.reading.delimited import headings
from vesalius.data.reading.json_rows import json_object
from vesalius.data.reading.listings import is_picture
from vesalius.data.reading.streams import ALL, SPLIT_NAMES, split_of
from vesalius.data.reading.texts import text
from vesalius.data.reading.via import CSV_COLUMNS, is_via, via_csv_rows, via_rows
from vesalius.data.reading.yolo import (
    NAME_FILES,
    is_labels,
    label_files,
    yolo_folders,
    yolo_names,
    yolo_rows,
)
from vesalius.errors import DatasetError

Start = Callable[[], Iterator[Case]]
Reader = Callable[[Path], Callable[[], Iterator[Annotated]]]
UNNAMED = "finding"
"""What a region shows that has no label."""
QUESTION = "What does the picture show?"
"""What is asked of a picture in the folder of its class; the folder's name is the answer."""
MOST_DOCUMENTS = 24
"""JSON files in a folder that are looked into: more are not one annotation file a split."""
MOST_CLASSES = 100
LEFT = ("Thumbs.db", "desktop.ini")
"""Files that Windows leaves in folders of pictures."""
NO_CLASSES = re.compile(r"images?|imgs?|pictures?|masks?|labels?|annotations?|seg\w*")
"""Names of folders that are parts of a set, not classes."""
NUMBERED = re.compile(r".*\d{2,}.*")
"""Names as patients and studies have them, if most are so: ``COVID-19`` is a class."""


@dataclass(frozen=True)
class Layout:
    """What a folder or file was taken for, and its cases by split."""

    words: str
    starts: Mapping[str, Start]


def annotated_layout(root: Path, images: Path | None, encoding: str | None) -> Layout | None:
    """COCO's or VIA's annotation files, one a split, in ``root`` or a folder of it; else None.

    Pictures lie in ``images``, in a folder named after the split, or beside the annotations.
    """
    kinds: dict[str, tuple[Reader, list[Path]]] = {
        "COCO boxes": (lambda path: partial(coco_rows, path), []),
        "VIA regions": (lambda path: partial(via_rows, path, UNNAMED), []),
        "VIA regions (CSV)": (lambda path: partial(via_csv_rows, path, UNNAMED, encoding), []),
    }
    for path, content in _documents(root, encoding):
        if is_coco(content):
            kinds["COCO boxes"][1].append(path)
        elif is_via(content):
            kinds["VIA regions"][1].append(path)
    kinds["VIA regions (CSV)"][1].extend(_region_tables(root, encoding))
    present = {words: each for words, each in kinds.items() if each[1]}
    if not present:
        return None
    if len(present) > 1:
        fault = f"{' and '.join(present)} stand here together"
        raise DatasetError(fault, where=root, hint="give the file that you mean as the root")
    ((words, (reader, paths)),) = present.items()
    base = root.parent if root.is_file() else root
    named = ", ".join(path.relative_to(base).as_posix() for path in paths)
    starts = {
        split: _boxed(reader(path), _album(base, path.parent, split, images), split)
        for split, path in _by_split(paths, base).items()
    }
    return Layout(f"{words}: {named}; a picture without one shows nothing", starts)


def picture_layout(root: Path, encoding: str | None) -> Layout | None:
    """Folders of pictures with YOLO's labels, with captions, or a folder a class; else None."""
    return _yolo(root, encoding) or _text_files(root, encoding) or _class_folders(root)


def _documents(root: Path, encoding: str | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    below = [root, *(d for d in _folders(root) if split_of(d.name) or d.name == "annotations")]
    files = [root] if root.is_file() else [path for d in below for path in sorted(d.iterdir())]
    paths = [path for path in files if path.suffix.lower() == ".json"]
    for path in paths if len(paths) <= MOST_DOCUMENTS else ():
        content = json_object(path, encoding)
        if content is not None:
            yield path, content


def _region_tables(root: Path, encoding: str | None) -> list[Path]:
    files = [root] if root.is_file() else sorted(root.iterdir())
    tables = [path for path in files if path.suffix.lower() == ".csv" and path.is_file()]
    return [path for path in tables if set(headings(path, encoding)) >= CSV_COLUMNS]


def _by_split(paths: Iterable[Path], base: Path) -> dict[str, Path]:
    splits: dict[str, Path] = {}
    for path in paths:
        above = "" if path.parent == base else path.parent.name
        split = split_of(path.stem) or split_of(above) or ALL
        if split in splits:
            fault = f"two annotation files for {split}: {splits[split].name} and {path.name}"
            raise DatasetError(fault, where=base, hint="give the one you mean as the root")
        splits[split] = path
    return splits


def _folders(root: Path) -> list[Path]:
    """The folders in a folder, without those that systems leave there."""
    entries = sorted(root.iterdir()) if root.is_dir() else []
    return [path for path in entries if path.is_dir() and not path.name.startswith((".", "__"))]


def _files(folder: Path) -> list[Path]:
    """What lies in a folder, without what systems leave there."""
    return sorted(p for p in folder.iterdir() if not p.name.startswith(".") and p.name not in LEFT)


def _album(base: Path, beside: Path, split: str, images: Path | None) -> Album:
    named = [d for d in (*_folders(base), *_folders(base / "images")) if split_of(d.name) == split]
    places = [*named, beside, beside / "images", base, base / "images"]
    return Album(base, [*([images] if images else []), *dict.fromkeys(places)], base)


def _boxed(rows: Callable[[], Iterator[Annotated]], album: Album, split: str) -> Start:
    return partial(boxed_cases, rows, album, split)


def _yolo(root: Path, encoding: str | None) -> Layout | None:
    folders = yolo_folders(root) or {
        split: (place, place)
        for split, place in _places(root).items()
        if _is_labelled(place, encoding)
    }
    starts = {}
    named = True
    for split, (images, labels) in folders.items():
        pictures = {path.stem for path in images.iterdir() if is_picture(path.name)}
        alone = [path for stem, path in label_files(labels).items() if stem not in pictures]
        if alone:
            fault = f"label files without a picture of their name: {len(alone)}, as {alone[0].name}"
            raise DatasetError(
                fault, where=labels, hint="add the pictures, or move the labels away"
            )
        names = yolo_names(root, labels)
        named = named and bool(names)
        starts[split] = _boxed(
            partial(yolo_rows, labels, images, names), Album(root, [images]), split
        )
    classes = "" if named else f"; classes keep their numbers, as {NAME_FILES[0]} is not there"
    words = f"YOLO boxes; a picture without a label file shows nothing{classes}"
    return Layout(words, starts) if starts else None


def _places(root: Path) -> dict[str, Path]:
    below = {SPLIT_NAMES.get(path.name.lower()): path for path in _folders(root)}
    return {split: path for split, path in below.items() if split} or {ALL: root}


def _is_labelled(place: Path, encoding: str | None) -> bool:
    """Whether the text files beside a folder's pictures hold YOLO's numbers, not captions."""
    words = [path for picture, path in _captions(place) if path is not None]
    contents = [content for path in words if (content := text(path, encoding).strip())]
    return bool(contents) and all(map(is_labels, contents))


def _text_files(root: Path, encoding: str | None) -> Layout | None:
    starts = {
        split: partial(_text_cases, place, root, split, encoding)
        for split, place in _places(root).items()
        if any(caption for _, caption in _captions(place))
    }
    return Layout("pictures with captions in text files", starts) if starts else None


def _captions(place: Path) -> list[tuple[Path, Path | None]]:
    """The pictures in a folder, and the text file that each has; their endings in any case."""
    files = sorted(path for path in place.iterdir() if path.is_file())
    words = {path.stem: path for path in files if path.suffix.lower() == ".txt"}
    return [(path, words.get(path.stem)) for path in files if is_picture(path.name)]


def _text_cases(place: Path, root: Path, split: str, encoding: str | None) -> Iterator[Case]:
    album = Album(root, [place])
    for number, (path, words) in enumerate(_captions(place), start=1):
        where = Source(path.as_posix(), number)
        yield Case(
            id=path.stem,
            group=path.stem,
            pictures=(album.picture(path.name, where),),
            caption="" if words is None else text(words, encoding).strip(),
            source=where,
            split=split,
        )


def _class_folders(root: Path) -> Layout | None:
    """A folder a class, in one folder a split or without splits (torchvision's ImageFolder)."""
    places = {split: place for split, place in _places(root).items() if _folders(place)}
    classes = sorted({folder.name for place in places.values() for folder in _folders(place)})
    if not _are_classes(classes, places.values()):
        return None
    starts = {
        split: partial(_class_cases, place, root, split, tuple(classes))
        for split, place in places.items()
    }
    beside = {root, *_places(root).values()}
    loose = sum(is_picture(path.name) for place in beside for path in _files(place))
    unread = f"; {loose} pictures that lie in no class are not read" if loose else ""
    words = f"a folder a class, {len(classes)} classes: of each picture is asked {QUESTION!r}"
    return Layout(f"{words}{unread}", starts)


def _are_classes(names: list[str], places: Iterable[Path]) -> bool:
    numbered = sum(NUMBERED.fullmatch(name) is not None for name in names)
    parts = any(NO_CLASSES.fullmatch(name.lower()) for name in names)
    if not 2 <= len(names) <= MOST_CLASSES or parts or numbered > len(names) / 2:
        return False
    files = [_files(folder) for place in places for folder in _folders(place)]
    # A class holds pictures alone; what lay deeper, or beside, would be left out in silence.
    return any(files) and all(is_picture(path.name) for some in files for path in some)


def _class_cases(place: Path, root: Path, split: str, classes: tuple[str, ...]) -> Iterator[Case]:
    for folder in _folders(place):
        for number, path in enumerate(_files(folder), start=1):
            name = path.relative_to(root).with_suffix("").as_posix()
            where = Source(folder.as_posix(), number)
            answer = Answer(text=folder.name)
            question = Question(QUESTION, "class", (answer,), kind="closed", options=classes)
            yield Case(
                id=name,
                group=name,
                pictures=(Album(root).picture(path.relative_to(root).as_posix(), where),),
                questions=(question,),
                source=where,
                split=split,
            )
