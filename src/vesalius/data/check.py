"""The preflight: what is wrong with a data set's pictures and words, by file and row."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from PIL import Image

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.data.cards import Card
from vesalius.data.datasets import Dataset
from vesalius.data.fingerprints import blank
from vesalius.errors import DatasetError, ImageError

Level = Literal["error", "warning"]
SMALLEST = 32
"""Pixels: a side below this holds less than two patches of a usual vision encoder."""
TOLERANCE = 0.02
"""How far a split's count may be from the card's before it is worth a word."""
SLACK = 1.0
"""Pixels by which a box may reach over the edge: annotators round."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: ``error`` stops a use of the case, ``warning`` wants a look."""

    level: Level
    code: str
    where: str
    what: str


@dataclass
class Summary:
    """What was looked at, and how many findings of each code there were."""

    cases: dict[str, int] = field(default_factory=dict)
    questions: dict[str, int] = field(default_factory=dict)
    pictures: int = 0
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
) -> Iterator[Finding]:
    """Findings as they are met, split by split; ``summary`` is filled along the way.

    Every picture is decoded once. Codes: ``missing``, ``unreadable`` and the decoder's own,
    ``tiny``, ``blank``, ``empty_question``, ``empty_answer``, ``empty_caption``, ``no_content``,
    ``duplicate_id``, ``duplicate_question``, ``box_outside``, ``two_groups``, ``burned_in``,
    ``counts``, ``parse``. ``text`` looks for burned-in text, once in every different picture (the
    extra ``ocr``; a quarter of a second each).
    """
    seen = _Seen(summary or Summary(), text)
    for split in dataset.splits() if splits is None else splits:
        for finding in seen.split(dataset, split):
            seen.summary.counts[finding.level, finding.code] += 1
            yield finding
    for finding in _against(card, seen.summary):
        seen.summary.counts[finding.level, finding.code] += 1
        yield finding


class _Seen:
    """What must be remembered between cases: ids of the split, and pictures' hashes and groups."""

    def __init__(self, summary: Summary, text: bool) -> None:
        self.summary, self.text = summary, text
        self.groups: dict[bytes, tuple[str, str]] = {}

    def split(self, dataset: Dataset, split: str) -> Iterator[Finding]:
        cases, questions = self.summary.cases, self.summary.questions
        cases[split] = questions[split] = 0
        ids: dict[str, str] = {}
        try:
            for case in dataset.cases(split):
                cases[split] += 1
                questions[split] += len(case.questions)
                where = str(case.source or f"{split}/{case.id}")
                if case.id in ids:
                    yield _error("duplicate_id", where, f"{case.id!r} is also at {ids[case.id]}")
                ids.setdefault(case.id, where)
                yield from _words(case, where)
                for picture in case.pictures:
                    yield from self.picture(picture, case, where)
        except (DatasetError, ImageError) as error:
            what = f"{error.what}; reading of {split} stopped here"
            yield _error("parse", str(error.where or split), what)

    def picture(self, picture: Picture, case: Case, where: str) -> Iterator[Finding]:
        self.summary.pictures += 1
        try:
            exact = hashlib.sha256(picture.read() + str(picture.view.frame).encode()).digest()[:16]
            image = picture.pixels()
        except ImageError as error:
            code = error.code.removeprefix("image_")
            yield _error(code, where, f"{picture.key}: {error.what}")
            return
        new = exact not in self.groups
        first = self.groups.setdefault(exact, (case.group, where))
        if new and self.text:
            yield from _burned_in(image, picture.key, where)
        if first[0] != case.group:
            what = f"{picture.key}: the same picture is at {first[1]} in group {first[0]}"
            yield _warning("two_groups", where, what)
        yield from _pixels(image, picture.key, case, where)


def _pixels(image: Image.Image, key: str, case: Case, where: str) -> Iterator[Finding]:
    width, height = image.size
    if min(width, height) < SMALLEST:
        yield _warning("tiny", where, f"{key}: {width} x {height} pixels")
    if blank(image.convert("L")):
        yield _warning("blank", where, f"{key}: nearly one grey level throughout")
    # Boxes are of the one picture; with several it is not said whose they are.
    for box in (case.boxes or ()) if len(case.pictures) == 1 else ():
        right, bottom = box.x + box.width, box.y + box.height
        if min(box.x, box.y) < -SLACK or right > width + SLACK or bottom > height + SLACK:
            what = f"{key}: {box.label} [{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}]"
            yield _error("box_outside", where, f"{what} leaves the {width} x {height} picture")


def _burned_in(image: Image.Image, key: str, where: str) -> Iterator[Finding]:
    from vesalius.data.burned_in import find_text

    # What it says is nobody's to repeat; where it is, is enough to look.
    regions = find_text(image, faint=False)
    if regions:
        places = "; ".join(f"[{r.x}, {r.y}, {r.width}, {r.height}]" for r in regions[:3])
        more = f" and {len(regions) - 3} more" if len(regions) > 3 else ""
        yield _warning("burned_in", where, f"{key}: text in the picture at {places}{more}")


def _words(case: Case, where: str) -> Iterator[Finding]:
    replies: dict[tuple[str, str], str] = {}
    if case.caption is not None and not case.caption.strip():
        yield _error("empty_caption", where, f"{case.id} has an empty caption")
    for question in case.questions:
        place = f"{where}, question {question.id}"
        if not question.text.strip():
            yield _error("empty_question", place, "the question is empty")
        if not question.answers or not all((a.text or "").strip() for a in question.answers):
            yield _warning("empty_answer", place, f"no answer to {question.text[:60]!r}")
            continue
        key, answer = (question.text.lower(), question.language), question.answers[0].text or ""
        if key in replies:
            same = (
                "again"
                if replies[key].lower() == answer.lower()
                else f"also answered {replies[key]!r}"
            )
            yield _warning("duplicate_question", place, f"{question.text[:60]!r} is asked {same}")
        replies.setdefault(key, answer)
    if case.caption is None and not case.questions and case.boxes is None and not case.concepts:
        yield _warning("no_content", where, f"{case.id}: nothing is said of it")


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
        yield _warning("counts", card.name, f"{what} (a subset, or an incomplete download?)")


def _error(code: str, where: str, what: str) -> Finding:
    return Finding("error", code, where, what)


def _warning(code: str, where: str, what: str) -> Finding:
    return Finding("warning", code, where, what)
