"""Folders of pictures without a table of rows: YOLO boxes, class folders, captions in text files.

Each is known by what it holds, and says in a line what it was taken for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from vesalius.cases.case import Answer, Case, Question, Source
from vesalius.data.reading.album import Album
from vesalius.data.reading.boxed import Annotated, boxed_cases
from vesalius.data.reading.folders import entries, subfolders
from vesalius.data.reading.listings import is_picture
from vesalius.data.reading.placement import Layout, Start, split_places
from vesalius.data.reading.streams import ALL
from vesalius.data.reading.texts import text
from vesalius.data.reading.yolo import (
    is_labels,
    pictures_below,
    require_pictures,
    unlabelled,
    yolo_folders,
    yolo_listed_rows,
    yolo_rows,
)
from vesalius.data.reading.yolo_classes import NAME_FILES, yolo_names
from vesalius.data.reading.yolo_lists import label_of, listed
from vesalius.errors import DatasetError

Regions = Callable[[], Iterator[Annotated]]
QUESTION = "What does the picture show?"
"""What is asked of a picture in the folder of its class; the folder's name is the answer."""
MOST_CLASSES = 100
NO_CLASSES = re.compile(r"images?|imgs?|pictures?|masks?|labels?|annotations?|seg\w*")
"""Names of folders that are parts of a set, not classes."""
NUMBERED = re.compile(r".*\d{2,}.*")
"""Names as patients and studies have them, if most are so: ``COVID-19`` is a class."""


def picture_layout(root: Path, encoding: str | None, *, negatives: bool = False) -> Layout | None:
    """Folders of pictures with YOLO's labels, with captions, or a folder a class; else None.

    ``negatives``: a picture without a label file shows nothing; else it is a DatasetError.
    """
    return _yolo(root, encoding, negatives) or _text_files(root, encoding) or _class_folders(root)


def _boxed(rows: Regions, album: Album, split: str) -> Start:
    return partial(boxed_cases, rows, album, split)


def _yolo(root: Path, encoding: str | None, negatives: bool) -> Layout | None:
    folders = yolo_folders(root) or {
        split: (place, place)
        for split, place in split_places(root).items()
        if _is_labelled(place, encoding)
    }
    by_file = listed(root)
    # What a folder holds alone is read by its folder: its pictures' names make shorter ids.
    apart = {
        split: pictures
        for split, pictures in by_file.pictures.items()
        if split not in folders or set(pictures) != {*pictures_below(folders[split][0]).values()}
        if any(label_of(picture, root).is_file() for picture in pictures)
    }
    folders = {
        s: each for s, each in folders.items() if s not in apart and not (apart and s == ALL)
    }
    starts: dict[str, Start] = {}
    classes = []
    for split, (images, labels) in folders.items():
        require_pictures(images, labels)
        if not negatives:
            _require_labels(images, unlabelled(images, labels))
        classes.append(yolo_names(root, labels))
        rows: Regions = partial(yolo_rows, labels, images, classes[-1])
        starts[split] = _boxed(rows, Album(root, [images]), split)
    for split, pictures in apart.items():
        if not negatives:
            _require_labels(root, [p for p in pictures if not label_of(p, root).is_file()])
        classes.append(yolo_names(root, root / "data"))
        rows = partial(yolo_listed_rows, pictures, root, classes[-1])
        starts[split] = _boxed(rows, Album(root), split)
    if not starts:
        return None
    words = "YOLO boxes" + ("; a picture without a label file shows nothing" if negatives else "")
    if not all(classes):
        words += f"; classes keep their numbers, as {NAME_FILES[0]} is not there"
    if by_file.absent:
        words += f"; {', '.join(by_file.absent)} is not where {by_file.file} says"
    return Layout(words + _loose(apart), starts)


def _loose(apart: Mapping[str, Sequence[Path]]) -> str:
    """What is to be said of pictures that no list names and that lie with some that one does."""
    named = {picture for pictures in apart.values() for picture in pictures}
    beside = {picture.parent for picture in named}
    loose = sum(
        is_picture(path.name) and path not in named for folder in beside for path in entries(folder)
    )
    return f"; {loose} pictures that no list names are not read" if loose else ""


def _require_labels(place: Path, bare: Sequence[Path]) -> None:
    if bare:
        named = f"{len(bare)}, as {bare[0].name}"
        hint = "an empty file says that there is nothing; for all of them say negatives=true"
        raise DatasetError(f"pictures without a label file: {named}", where=place, hint=hint)


def _is_labelled(place: Path, encoding: str | None) -> bool:
    """Whether the text files beside a folder's pictures hold YOLO's numbers, not captions.

    Most of them decide: one that is damaged makes no captions of the others, and is told by itself.
    Where all are empty, a list of classes beside them says that they are labels of negatives.
    """
    words = [path for picture, path in _captions(place) if path is not None]
    contents = [content for path in words if (content := text(path, encoding).strip())]
    if words and not contents:
        return any((place / name).is_file() for name in NAME_FILES)
    return sum(map(is_labels, contents)) * 2 > len(contents)


def _text_files(root: Path, encoding: str | None) -> Layout | None:
    starts = {
        split: partial(_text_cases, place, root, split, encoding)
        for split, place in split_places(root).items()
        if any(caption for _, caption in _captions(place))
    }
    return Layout("pictures with captions in text files", starts) if starts else None


def _captions(place: Path) -> list[tuple[Path, Path | None]]:
    """The pictures in a folder, and the text file that each has; their endings in any case."""
    files = [path for path in entries(place) if path.is_file()]
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
    places = {split: place for split, place in split_places(root).items() if subfolders(place)}
    classes = sorted({folder.name for place in places.values() for folder in subfolders(place)})
    if not _are_classes(classes, places.values()):
        return None
    starts = {
        split: partial(_class_cases, place, root, split, tuple(classes))
        for split, place in places.items()
    }
    beside = {root, *split_places(root).values()}
    loose = sum(is_picture(path.name) for place in beside for path in entries(place))
    unread = f"; {loose} pictures that lie in no class are not read" if loose else ""
    words = f"a folder a class, {len(classes)} classes: of each picture is asked {QUESTION!r}"
    return Layout(f"{words}{unread}", starts)


def _are_classes(names: list[str], places: Iterable[Path]) -> bool:
    numbered = sum(NUMBERED.fullmatch(name) is not None for name in names)
    parts = any(NO_CLASSES.fullmatch(name.lower()) for name in names)
    if not 2 <= len(names) <= MOST_CLASSES or parts or numbered > len(names) / 2:
        return False
    files = [entries(folder) for place in places for folder in subfolders(place)]
    # A class holds pictures alone; what lay deeper, or beside, would be left out in silence.
    return any(files) and all(is_picture(path.name) for some in files for path in some)


def _class_cases(place: Path, root: Path, split: str, classes: tuple[str, ...]) -> Iterator[Case]:
    for folder in subfolders(place):
        for number, path in enumerate(entries(folder), start=1):
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
