"""A data set's pictures and boxes in another program's format: COCO, YOLO, VIA, Pascal VOC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vesalius.cases.case import Box, Case
from vesalius.data.box_units import leaves
from vesalius.data.datasets import Dataset
from vesalius.data.reading.listings import stem_of
from vesalius.data.staging import require_empty, staged
from vesalius.data.writing import coco, via, voc, yolo
from vesalius.data.writing.page import FOLDERS, Format, Page
from vesalius.data.writing.plain import FileNames, plain
from vesalius.errors import DatasetError, RecipeError, UnknownName
from vesalius.system.files import write_atomic
from vesalius.system.parallel import progress_bar

FORMATS: Mapping[str, Format] = {
    "coco": coco.FORMAT,
    "yolo": yolo.FORMAT,
    "via": via.FORMAT,
    "voc": voc.FORMAT,
}


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written: pictures by split, those without a box, boxes, and what is not in it.

    ``classes`` have no number where the format writes their names. ``as_decoded``: pictures that
    were not copied byte for byte. ``losses``: in words what the format does not hold, how often.
    """

    pictures: Mapping[str, int]
    negatives: int
    boxes: int
    classes: Mapping[str, int | None]
    as_decoded: int
    losses: Mapping[str, int]


def convert(
    dataset: Dataset,
    target: Path,
    to: str,
    *,
    classes: Mapping[str, int | None] | None = None,
) -> Converted:
    """Write ``dataset`` to the new folder ``target`` in the format ``to`` (:data:`FORMATS`).

    ``classes`` is the table of class numbers, by name; None as a number: the next one. By default
    the names in alphabetical order, counted from 1 (COCO) or 0 (YOLO). Pictures are copied byte for
    byte, but for turned ones (EXIF) and those that are neither PNG nor JPEG: boxes are in pixels of
    the picture as decoded, and so these are written as it is. What the format does not hold is
    counted. Raises UnknownName for a format, DatasetError with the row for a box that leaves its
    picture or a class that is not in the table; the target is then as it was.
    """
    form = FORMATS.get(to)
    if form is None:
        raise UnknownName("format", to, FORMATS)
    require_empty(target)
    _require_known_splits(dataset)
    table = None if classes is None else _numbered(classes, form)
    with staged(target) as folder:
        reading = _Pages(folder, form, table)
        pages = list(reading.of(dataset))
        if not pages:
            hint = "give pictures boxes; an empty list says that there is nothing"
            raise DatasetError("no picture has boxes, or says it has none", hint=hint)
        boxes = [box for page in pages for box in page.boxes]
        names = dict.fromkeys(sorted({box.label for box in boxes}))
        numbers = _numbered(names, form) if table is None else table
        outlines = sum(bool(box.outlines) for box in boxes)
        reading.losses["outlines"] += outlines - form.write(folder, pages, numbers)
    return Converted(
        pictures=Counter(page.split for page in pages),
        negatives=sum(not page.boxes for page in pages),
        boxes=len(boxes),
        classes=numbers if form.numbers is not None else dict.fromkeys(numbers),
        as_decoded=reading.as_decoded,
        losses={words: number for words, number in reading.losses.items() if number},
    )


def _require_known_splits(dataset: Dataset) -> None:
    other = next((split for split in dataset.splits() if split not in FOLDERS), None)
    if other is not None:
        hint = "deal it anew: `vesalius data split`, and --split-file"
        fault = f"these formats have no split {other!r}: {', '.join(FOLDERS)}"
        raise DatasetError(fault, hint=hint)


def _numbered(classes: Mapping[str, int | None], form: Format) -> dict[str, int]:
    """The table with every number filled in, in rising order; RecipeError where it is none."""
    first = form.numbers or 0
    table: dict[str, int] = {}
    for name, stated in classes.items():
        table[name] = stated if stated is not None else max(table.values(), default=first - 1) + 1
    rising = sorted(table.values())
    if len(set(rising)) < len(rising):
        raise RecipeError("two classes of one number", where="--class")
    if form.numbers is not None and not form.gaps and rising != list(range(len(rising))):
        fault = f"{form.title} counts its classes from 0 without a gap, not as {rising}"
        raise RecipeError(fault, where="--class")
    return dict(sorted(table.items(), key=lambda one: one[1]))


class _Pages:
    """The pictures of a set, each written as it is met; what the format cannot hold is counted."""

    def __init__(self, folder: Path, form: Format, table: Mapping[str, int] | None) -> None:
        self.losses: Counter[str] = Counter()
        self.as_decoded = 0
        self._folder, self._form, self._table = folder, form, table
        self._names = FileNames()

    def of(self, dataset: Dataset) -> Iterator[Page]:
        """A page for each case whose boxes can be written."""
        with progress_bar(f"writing {self._form.title}", None) as advance:
            for split in dataset.splits():
                for case in dataset.cases(split):
                    advance(1)
                    boxes = self._boxes(case)
                    if boxes is not None:
                        self._count_words(case)
                        yield self._page(case, split, boxes)

    def _boxes(self, case: Case) -> tuple[Box, ...] | None:
        """The boxes that the format can hold; None for a picture that is left out."""
        if case.boxes is None:
            self.losses["pictures that nobody annotated"] += 1
            return None
        if len(case.pictures) != 1:
            self.losses["cases of none or several pictures"] += 1
            return None
        boxes = tuple(box for box in case.boxes if self._form.crowd or not box.crowd)
        self.losses["crowd regions"] += len(case.boxes) - len(boxes)
        if case.boxes and not boxes:
            # Without its only region it would say that the picture shows nothing.
            self.losses["pictures of crowd regions alone"] += 1
            return None
        table = self._table
        other = next((b.label for b in boxes if table is not None and b.label not in table), None)
        if other is not None:
            hint = f"name it with --class, beside {', '.join(table or ())}"
            fault = f"the class {other!r} is not in the table"
            raise DatasetError(fault, where=case.source, hint=hint)
        return boxes

    def _count_words(self, case: Case) -> None:
        own = {case.id, f"{case.split}/{case.id}", *(p.key for p in case.pictures)}
        for remark in case.remarks:  # what its reader did not read is not written either
            self.losses[f"times: {remark.what}"] += 1
        self.losses["captions"] += case.caption is not None
        self.losses["questions"] += len(case.questions)
        self.losses["pictures' concepts"] += case.concepts is not None
        self.losses["pictures' patients or groups"] += case.group not in own

    def _page(self, case: Case, split: str, boxes: tuple[Box, ...]) -> Page:
        (picture,) = case.pictures
        written = plain(picture)
        size = written.size
        outside = next((box for box in boxes if leaves(box, size)), None)
        if outside is not None:
            place = f"[{outside.x:g}, {outside.y:g}, {outside.width:g}, {outside.height:g}]"
            fault = f"{outside.label} {place} leaves the {size[0]} x {size[1]} picture"
            raise DatasetError(fault, where=case.source, hint="`vesalius data check` lists all")
        self.as_decoded += not written.copied
        stem = stem_of(picture.key.rpartition("/")[2])
        name = self._names.unused(stem, written.ending)
        write_atomic(self._folder / self._form.images(split) / name, written.data)
        return Page(split, name, len(written.data), size, boxes)
