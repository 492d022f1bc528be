"""One pass over a data set: of each picture a thumbnail, of each question a row of words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vesalius.cases.case import Case
from vesalius.cases.likeness import Thumbnail
from vesalius.data.audit import Key, Link, Member, links, member_of
from vesalius.data.content import split_digests
from vesalius.data.datasets import Dataset
from vesalius.data.fingerprints import Inspected
from vesalius.data.inspection import Inspect, all_cores, inspect_recorded
from vesalius.data.survey.rows import AnswerRow, answer_rows, plain
from vesalius.data.text_sample import TextSample
from vesalius.system.parallel import progress_bar

Classes = dict[str, dict[str, Counter[str]]]
"""Field -> split -> class -> how many."""


@dataclass(slots=True)
class Survey:
    """What an audit needs of a data set: some three kilobytes a picture, words once, no pixels."""

    splits: tuple[str, ...]
    text: TextSample[Key] = field(default_factory=lambda: TextSample(0))
    members: list[Member] = field(default_factory=list)
    rows: list[AnswerRow] = field(default_factory=list)
    unanswered: int = 0
    thumbnails: list[Thumbnail] = field(default_factory=list)
    captions: dict[str, list[Key]] = field(default_factory=lambda: defaultdict(list))
    classes: Classes = field(default_factory=lambda: defaultdict(lambda: defaultdict(Counter)))
    annotated: int = 0
    """Cases of which boxes are annotated, be it that there are none."""
    with_boxes: int = 0
    links: list[Link] = field(default_factory=list)
    _seen: dict[str, int] = field(default_factory=dict)

    @property
    def later(self) -> tuple[str, ...]:
        """All splits but the first, which is the one that is learnt from."""
        return self.splits[1:]

    @property
    def contents(self) -> dict[str, dict[str, Any]]:
        """How many cases each split has, and the digest of what they hold."""
        return split_digests(self.members)

    def add(self, case: Case, split: str, pictures: list[Inspected]) -> None:
        """Note a case and what its pictures tell."""
        self.members.append(member_of(case, split, pictures))
        place = self._place(case, split, pictures)
        rows = list(answer_rows(case, split, pictures, place))
        self.rows += rows
        self.unanswered += len(case.questions) - len(rows)
        if case.caption is not None:
            self.captions[plain(case.caption)].append(Key(case.id, split))
        self._classes(case, split, rows)

    def _place(self, case: Case, split: str, pictures: list[Inspected]) -> int:
        """The place of its last picture's thumbnail; each different picture is noted once."""
        place = -1
        for picture, looked in zip(case.pictures, pictures, strict=True):
            like = looked.fingerprint
            if like is None:
                continue
            if like.sha256 not in self._seen:
                self._seen[like.sha256] = -1
                self.text.add(picture, like.sha256, Key(case.id, split))
                if like.thumbnail is not None:
                    self._seen[like.sha256] = len(self.thumbnails)
                    self.thumbnails.append(like.thumbnail)
            place = self._seen[like.sha256]
        return place

    @property
    def different(self) -> int:
        """How many pictures differ in their bytes."""
        return len(self._seen)

    def _classes(self, case: Case, split: str, rows: list[AnswerRow]) -> None:
        if case.modality:
            self.classes["modality"][split][case.modality] += 1
        if case.boxes is not None:
            self.annotated += 1
            self.with_boxes += bool(case.boxes)
            self.classes["boxes"][split]["some" if case.boxes else "none"] += 1
            self.classes["box class"][split].update(box.label for box in case.boxes)
        for row in rows:
            self.classes["question type"][split][row.type] += 1
            if row.answer in ("yes", "no"):
                self.classes["yes or no"][split][row.answer] += 1


def survey(
    dataset: Dataset, text: TextSample[Key] | None = None, inspect: Inspect = inspect_recorded
) -> Survey:
    """Look at every case once, on all cores, and link what belongs together.

    ``text`` draws the pictures that are searched for text later; ``inspect`` is how cases get what
    their pictures tell.
    """
    whole = Survey(dataset.splits(), TextSample(0) if text is None else text)
    with progress_bar("reading pictures", None) as advance, all_cores() as cores:
        for split in whole.splits:
            for case, pictures in inspect(dataset.cases(split), cores):
                whole.add(case, split, pictures)
                advance(len(pictures))
    whole.links = list(links(whole.members))
    return whole


def cases_of(dataset: Dataset, keys: set[Key]) -> Iterator[tuple[Key, Case]]:
    """The named cases, read again, no picture opened."""
    for split in sorted({key.split for key in keys}):
        for case in dataset.cases(split):
            if (key := Key(case.id, split)) in keys:
                yield key, case
