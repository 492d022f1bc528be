"""The preflight: what is wrong with a data set's pictures and words, by file and row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.data.box_units import PerCent, box_findings
from vesalius.data.cards import Card
from vesalius.data.datasets import Dataset
from vesalius.data.findings import Finding, Level, Remarks, finding
from vesalius.data.fingerprints import Inspected
from vesalius.data.inspection import Inspect, all_cores, inspect_cases
from vesalius.data.text_sample import TextSample
from vesalius.data.words import WholeSet, words
from vesalius.errors import DatasetError, ImageError
from vesalius.system.parallel import ParallelMap

Looked = Iterator[tuple[Case, list[Inspected]]]
"""Cases with what their pictures tell."""
SMALLEST = 32
"""Pixels: a side below this holds less than two patches of a usual vision encoder."""
TOLERANCE = 0.02
"""How far a split's count may be from the card's before it is worth a word."""


@dataclass
class Summary:
    """What was looked at, and how many findings of each code there were."""

    cases: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
    different: int = 0
    """How many pictures that can be read differ in their bytes."""
    text_of: int = 0
    """In how many of these burned-in text is looked for, and in how many that is done."""
    text_done: int = 0
    counts: Counter[tuple[Level, str]] = field(default_factory=Counter)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(n for (level, _), n in self.counts.items() if level == "error")


def check(
    dataset: Dataset,
    *,
    card: Card | None = None,
    splits: Iterable[str] | None = None,
    summary: Summary | None = None,
    text: bool = False,
    sample: int | None = None,
    seed: int = 0,
    inspect: Inspect = inspect_cases,
) -> Iterator[Finding]:
    """Findings as they are met, split by split; ``summary`` is filled along the way.

    Every picture is decoded once, on all cores. Codes are those of
    :func:`vesalius.data.findings.codes`, with a decoder's own for pictures that it refuses.
    ``text`` looks for burned-in text at the end (the extra ``ocr``), once in every different
    picture, or in ``sample`` of them, drawn by ``seed`` and their bytes; this takes about 0.4
    seconds of one core a picture. ``inspect``: how cases get what their pictures tell.
    """
    summary = Summary() if summary is None else summary
    checking = Checking(summary, sample if text else 0, seed)
    with all_cores() as cores:
        parts = chain(
            (
                checking.split(_looked(dataset, split, cores, inspect), split)
                for split in (dataset.splits() if splits is None else splits)
            ),
            (checking.whole(), checking.burned_in(), _against(card, summary)),
        )
        for one in chain.from_iterable(parts):
            summary.counts[one.level, one.code] += 1
            yield one


def unread(dataset: Dataset) -> list[Finding]:
    """What the readers left unread, and a set without words or patients: no picture is opened."""
    remarks, whole = Remarks(), WholeSet()
    for split in dataset.splits():
        for case in dataset.cases(split):
            where = str(case.source or f"{split}/{case.id}")
            remarks.add(case.remarks, where)
            whole.add(case, where)
    return [*remarks.findings(), *whole.findings()]


def _looked(dataset: Dataset, split: str, cores: ParallelMap, inspect: Inspect) -> Looked:
    """The split's cases with what their pictures tell; opening it is part of the stream."""
    yield from inspect(dataset.cases(split), cores)


class Checking:
    """What must be remembered between cases: pictures' groups, and which are read for text.

    ``sample``: how many different pictures are searched for text; None: all of them.
    """

    def __init__(self, summary: Summary, sample: int | None = 0, seed: int = 0) -> None:
        self.summary, self._sample = summary, TextSample[str](sample, seed)
        self._groups: dict[str, tuple[str, str]] = {}
        self._words, self._per_cent = WholeSet(), PerCent()

    def split(self, cases: Looked, split: str) -> Iterator[Finding]:
        """The findings of a split's cases; a fault that ends their stream is one of them."""
        self.summary.cases[split] = self.summary.questions[split] = 0
        ids: dict[str, str] = {}
        remarks, displays = Remarks(), Counter[str]()
        try:
            for case, pictures in cases:
                remarks.add(case.remarks, str(case.source or f"{split}/{case.id}"))
                displays.update(remark for looked in pictures for remark in looked.remarks)
                yield from self._case(case, pictures, split, ids)
        except (DatasetError, ImageError) as error:
            advice = "" if error.hint is None else f" ({error.hint})"
            what = f"{error.what}{advice}; reading of {split} stopped here"
            yield finding("parse", str(error.where or split), what)
        yield from remarks.findings()
        # Counted: one for each of a thousand scans without a window would bury all else.
        for remark, count in displays.most_common():
            yield finding("display", split, f"{count:,} pictures: {remark}")

    def whole(self) -> Iterator[Finding]:
        """What shows when all splits were read: of words, of names of pictures, of boxes."""
        yield from self._words.findings()
        yield from self._per_cent.findings()

    def _case(
        self, case: Case, pictures: Sequence[Inspected], split: str, ids: dict[str, str]
    ) -> Iterator[Finding]:
        self.summary.cases[split] += 1
        self.summary.questions[split] += len(case.questions)
        where = str(case.source or f"{split}/{case.id}")
        if case.id in ids:
            yield finding("duplicate_id", where, f"{case.id!r} is also at {ids[case.id]}")
        ids.setdefault(case.id, where)
        self._words.add(case, where)
        yield from words(case, where)
        for picture, looked in zip(case.pictures, pictures, strict=True):
            yield from self._picture(picture, looked, case, where)

    def _picture(
        self, picture: Picture, looked: Inspected, case: Case, where: str
    ) -> Iterator[Finding]:
        self.summary.pictures += 1
        if looked.fingerprint is None:
            code = looked.code.removeprefix("image_")
            yield finding(code, where, f"{picture.key}: {looked.reason}")
            return
        exact = looked.fingerprint.sha256
        if exact not in self._groups:
            self.summary.different += 1
            self._sample.add(picture, exact, where)
        first = self._groups.setdefault(exact, (case.group, where))
        if first[0] != case.group:
            what = f"{picture.key}: the same picture is at {first[1]} in group {first[0]}"
            yield finding("two_groups", where, what)
        yield from _pixels(looked, picture.key, where)
        # Boxes are of the one picture; with several it is not said whose they are.
        if case.boxes and len(case.pictures) == 1:
            size = (looked.width, looked.height)
            self._per_cent.add(case.boxes, size, where)
            yield from box_findings(case.boxes, picture.key, size, where)

    def burned_in(self) -> Iterator[Finding]:
        """Where text is in the pictures that were drawn; never what it says."""
        self.summary.text_of = len(self._sample)

        def advance(number: int) -> None:
            self.summary.text_done += number

        for picture, where, regions in self._sample.search(advance):
            if regions:
                places = "; ".join(f"[{r.x}, {r.y}, {r.width}, {r.height}]" for r in regions[:3])
                more = f" and {len(regions) - 3} more" if len(regions) > 3 else ""
                what = f"{picture.key}: text in the picture at {places}{more}"
                yield finding("burned_in", where, what)


def _pixels(looked: Inspected, key: str, where: str) -> Iterator[Finding]:
    width, height = looked.width, looked.height
    if min(width, height) < SMALLEST:
        yield finding("tiny", where, f"{key}: {width} x {height} pixels")
    if looked.fingerprint is not None and looked.fingerprint.thumbnail is None:
        yield finding("blank", where, f"{key}: nearly one grey level throughout")


def _against(card: Card | None, summary: Summary) -> Iterator[Finding]:
    """A word if no release on the card has about as many pictures and questions as were read."""
    if card is None or not card.releases:
        return
    read: Mapping[str, Mapping[str, int]] = {
        "images": summary.cases,
        "questions": summary.questions,
    }
    differing = {}
    for release in card.releases:
        published = {what: getattr(release, what) for what in read}
        shared = [
            (what, split) for what in read for split in published[what] if split in read[what]
        ]
        differing[release.name] = [
            f"{split} {read[what][split]} {what}, not {published[what][split]}"
            for what, split in shared
            if abs(read[what][split] - published[what][split]) > TOLERANCE * published[what][split]
        ]
        if not shared:
            del differing[release.name]  # other splits: nothing to compare
    if differing and all(differing.values()):
        closest = min(differing, key=lambda name: len(differing[name]))
        what = f"differs from {closest} as published: {'; '.join(differing[closest])}"
        yield finding("counts", card.name, f"{what} (a subset, or an incomplete download?)")
