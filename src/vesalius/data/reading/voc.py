"""Pascal VOC's annotations: an XML file a picture, with boxes by their corners.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2012 development kit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from vesalius.cases.case import Box, Source
from vesalius.data.reading.boxed import FLAGS, Annotated, size_in
from vesalius.data.reading.folders import entries, subfolders
from vesalius.data.reading.outlines import ROTATION, Points, outlined, pairs, rectangle, turned
from vesalius.data.reading.placement import split_places
from vesalius.data.reading.record import unread_keys
from vesalius.data.reading.streams import ALL, SPLIT_NAMES
from vesalius.data.reading.texts import lines, text
from vesalius.errors import DatasetError

LARGEST = 8 * 2**20
"""Bytes of one picture's XML; the challenge's own have one or two thousand."""
CORNERS = ("xmin", "ymin", "xmax", "ymax")
PICTURE = {
    *("folder", "filename", "path", "source", "owner", "size", "segmented"),
    "object",
}
OBJECT = {"name", "bndbox", "attributes", "polygon"}
_HEAD = 4096
_DECLARED = re.compile(r"<!(?:DOCTYPE|ENTITY)")


@dataclass(frozen=True, slots=True)
class VocSet:
    """The XML files of a split in one folder, or of them those that ``only`` names.

    ``first`` is the number of the leftmost pixel: 1 as the challenge has it, 0 where a box of the
    folder begins at 0.
    """

    folder: Path
    first: int
    only: tuple[str, ...] | None = None


def voc_sets(root: Path) -> dict[str, VocSet]:
    """The annotations of a folder by split; none where there are none.

    They lie in ``Annotations``, with the splits' lists in ``ImageSets/Main``, or beside the
    pictures of each split.
    """
    below = [d for d in subfolders(root) if d.name.lower() in ("annotations", "labels", "xmls")]
    folder = next((d for d in below if _has_xml(d)), None)
    if folder is None:
        places = {s: d for s, d in split_places(root).items() if _has_xml(d)}
        return {split: VocSet(place, _first(place)) for split, place in places.items()}
    first = _first(folder)
    lists = _lists(root / "ImageSets" / "Main")
    return {split: VocSet(folder, first, only) for split, only in lists.items()} or {
        ALL: VocSet(folder, first)
    }


def voc_rows(one: VocSet) -> Iterator[Annotated]:
    """Pictures with their boxes; DatasetError where one is listed and has no file."""
    paths = {path.stem: path for path in _xml_files(one.folder)}
    for number, name in enumerate(one.only if one.only is not None else paths, start=1):
        path = paths.get(name)
        if path is None:
            fault = f"picture {number} of the split's list has no XML file"
            hint = "add it, or take it off the list in ImageSets/Main"
            raise DatasetError(fault, where=one.folder, hint=hint)
        where = Source(path.as_posix(), 1)
        document = _document(path)
        objects = list(document.iter("object"))
        boxes = tuple(
            _box(element, one.first, Source(path.as_posix(), at))
            for at, element in enumerate(objects, start=1)
        )
        unread = (
            *unread_keys(map(_held, [document]), PICTURE, "", FLAGS),
            *unread_keys(map(_held, objects), OBJECT, "object.", FLAGS),
            *unread_keys(map(_attributes, objects), (ROTATION,), "object.attributes.", FLAGS),
        )
        named = (document.findtext("filename") or name).strip()
        size = size_in(document.findtext("size/width"), document.findtext("size/height"))
        yield Annotated(where, named, None, boxes, unread, size)


def _held(element: ElementTree.Element) -> dict[str, str]:
    """What each child says; of one with children of its own that it is there."""
    return {
        child.tag: (child.text or "").strip() or ("yes" if len(child) else "") for child in element
    }


def _box(element: ElementTree.Element, first: int, where: Source) -> Box:
    label = (element.findtext("name") or "").strip()
    corners = [element.findtext(f"bndbox/{corner}") for corner in CORNERS]
    if not label or None in corners:
        raise DatasetError("an object without name, xmin, ymin, xmax and ymax", where=where)
    try:
        left, top, right, bottom = (float(str(corner)) for corner in corners)
    except ValueError as error:
        raise DatasetError("a corner of a box is no number", where=where) from error
    # Counted from 1, the last pixel is inside: 1 to 10 are ten pixels, from 0 to 10.
    box = rectangle(
        [left - first, top - first, right - left + first, bottom - top + first], label, where
    )
    outline = _outline(element, first, where)
    if outline:
        return outlined(box, [outline])
    return turned(box, _attributes(element).get(ROTATION, 0), where)


def _outline(element: ElementTree.Element, first: int, where: Source) -> Points:
    """The points of a ``polygon`` beside the box, as Roboflow writes it: x1, y1, x2, y2 ..."""
    held = {child.tag: child.text for child in element.iterfind("polygon/*")}
    numbers = [held.get(f"{axis}{at}") for at in range(1, len(held) // 2 + 1) for axis in "xy"]
    return tuple((x - first, y - first) for x, y in pairs(numbers, where))


def _attributes(element: ElementTree.Element) -> dict[str, str]:
    """What CVAT writes beside a box, by name."""
    return {
        (one.findtext("name") or ""): (one.findtext("value") or "").strip()
        for one in element.iterfind("attributes/attribute")
    }


def _first(folder: Path) -> int:
    starts = (
        element.findtext(f"bndbox/{corner}")
        for path in _xml_files(folder)
        for element in _document(path).iter("object")
        for corner in ("xmin", "ymin")
    )
    return 0 if any(_is_zero(start) for start in starts) else 1


def _is_zero(number: str | None) -> bool:
    return bool(re.fullmatch(r"\s*-?0*(?:\.\d*)?\s*", number or "x"))


def _lists(folder: Path) -> dict[str, tuple[str, ...]]:
    """The challenge's lists: train, val and test; trainval where it stands for both."""
    files = {p.stem.lower(): p for p in folder.glob("*.txt")} if folder.is_dir() else {}
    named = {SPLIT_NAMES[stem]: p for stem, p in files.items() if stem in SPLIT_NAMES}
    if "trainval" in files and "train" not in named:
        named["train"] = files["trainval"]
    return {
        split: tuple(line.strip() for line in lines(path) if line.strip())
        for split, path in named.items()
    }


def _xml_files(folder: Path) -> list[Path]:
    return [p for p in entries(folder) if p.suffix.lower() == ".xml"]


def _has_xml(folder: Path) -> bool:
    files = _xml_files(folder)
    if not files:
        return False
    with files[0].open("rb") as file:  # XML of other kinds is nobody's fault, and not parsed
        head = file.read(_HEAD).replace(b"\0", b"")
    return b"<annotation>" in head or b"<annotation " in head


def _document(path: Path) -> ElementTree.Element:
    if path.stat().st_size > LARGEST:
        raise DatasetError("more than 8 MiB of XML for one picture", where=path)
    content = text(path)
    if _DECLARED.search(content):
        hint = "take its DOCTYPE out: entities are not read"
        raise DatasetError("XML that declares a DOCTYPE", where=path, hint=hint)
    try:
        return ElementTree.fromstring(content)  # noqa: S314  (no entities can be in it)
    except ElementTree.ParseError as error:
        fault = f"not XML: line {error.position[0]}, column {error.position[1]}"
        raise DatasetError(fault, where=path) from error
