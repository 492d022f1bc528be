"""Pascal VOC's annotations: ``Annotations/*.xml`` with ``JPEGImages`` and ``ImageSets/Main``.

Source: Everingham et al., The PASCAL Visual Object Classes Challenge 2012 development kit.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from vesalius.cases.case import Box
from vesalius.data.reading.voc import CORNERS
from vesalius.data.writing.page import FOLDERS, Classes, Format, Page, cut, in_splits
from vesalius.system.files import write_atomic

FIRST = 1
"""The challenge counts pixels from 1, the last one inside."""


def write(folder: Path, pages: Sequence[Page], classes: Classes) -> int:  # noqa: ARG001
    """A file a picture, and a list of names a split; no outline."""
    for page in pages:
        write_atomic(folder / "Annotations" / f"{page.stem}.xml", _document(page))
    for split, some in in_splits(pages).items():
        if FOLDERS[split]:
            names = "".join(f"{page.stem}\n" for page in some)
            write_atomic(folder / "ImageSets" / "Main" / f"{FOLDERS[split]}.txt", names)
    return 0


def _document(page: Page) -> str:
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = page.name
    size = ElementTree.SubElement(root, "size")
    for name, value in zip(("width", "height", "depth"), (*page.size, 3), strict=True):
        ElementTree.SubElement(size, name).text = str(value)
    for box in page.boxes:
        _object(root, box, page.size)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _object(root: ElementTree.Element, box: Box, size: tuple[int, int]) -> None:
    one = ElementTree.SubElement(root, "object")
    fields = {"name": box.label, "pose": "Unspecified", "truncated": "0", "difficult": "0"}
    for name, value in fields.items():
        ElementTree.SubElement(one, name).text = value
    place = ElementTree.SubElement(one, "bndbox")
    left, top, right, bottom = cut(box, size)
    # Whole numbers wherever they are: many programs read no others here.
    corners = (left + FIRST, top + FIRST, right, bottom)
    for name, corner in zip(CORNERS, corners, strict=True):
        ElementTree.SubElement(place, name).text = f"{corner:.10g}"


def _images(split: str) -> str:  # noqa: ARG001
    return "JPEGImages"


FORMAT = Format("Pascal VOC", _images, write)
