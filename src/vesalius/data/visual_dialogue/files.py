"""A data set's dialogues as files: rows for the ``folder`` reader, or LLaVA conversations."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from vesalius.cases.case import Case
from vesalius.cases.headers import kind_of
from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW
from vesalius.data.datasets import Dataset
from vesalius.data.folder_format import to_row
from vesalius.data.reading.streams import ORDER
from vesalius.data.staging import require_empty
from vesalius.data.visual_dialogue.rewriting import Writer
from vesalius.data.visual_dialogue.upgrade import Upgraded, upgrade
from vesalius.errors import UnknownName
from vesalius.system.files import write_json

FORMS = ("own", "llava")
REPORT = "report"
"""The folder of what was left out, beside the rows and out of their reader's way."""
ENDINGS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "bmp": ".bmp",
           "gif": ".gif"}  # fmt: skip


@dataclass
class Written:
    """What was written: counts by split, what was dropped by kind, and how the set is read.

    ``images`` is the folder that referenced pictures lie in, the reader's option of that name;
    None where every picture lies in the new folder.
    """

    root: Path
    images: Path | None = None
    cases: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    unsupported: int = 0
    pairs: int = 0
    worded: int = 0
    without_summary: int = 0

    def count(self, split: str, done: Upgraded) -> None:
        """Add one case; one that is left without a question makes no dialogue."""
        self.cases[split] += bool(done.case.questions)
        self.turns[split] += len(done.case.questions)
        self.dropped.update(dropped.kind for dropped in done.dropped)
        self.unsupported += len(done.unsupported)
        self.pairs += done.summary.pairs
        self.worded += done.summary.worded
        self.without_summary += not done.summary.text

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON-ready data."""
        counts = {"cases": self.cases, "turns": self.turns, "dropped": self.dropped}
        summaries = {
            "pairs": self.pairs,
            "worded": self.worded,
            "without_summary": self.without_summary,
        }
        images = None if self.images is None else self.images.as_posix()
        named = {name: dict(count) for name, count in counts.items()}
        return named | {
            "summaries": summaries | {"unsupported": self.unsupported},
            "images": images,
        }


def write_dialogues(
    dataset: Dataset,
    target: Path,
    *,
    form: str = "own",
    source: Path | None = None,
    writer: Writer | None = None,
    limit: int | None = None,
) -> Written:
    """Upgrade every case of ``dataset`` and write one dialogue a case into the new ``target``.

    ``own`` rows keep kinds, categories and ids (``<split>.jsonl``); ``llava`` rows are LLaVA's
    ``conversations`` (``<split>.json``). A picture that is a file below ``source`` is referred to
    by its path there; any other is written under ``images/``, DICOM as PNG. What was dropped is
    listed in ``report/dropped.jsonl``. The folder appears whole or not at all. Raises DatasetError
    if it is not empty or a picture cannot be read. ``limit``: at most so many cases a split.
    """
    if form not in FORMS:
        raise UnknownName("form", form, FORMS)
    require_empty(target)
    with _beside(target) as folder:
        written = Written(target)
        album = _Pictures(folder, source)
        with ExitStack() as files:
            report = _Report(folder / REPORT, files)
            tables = _tables(folder, dataset.splits(), form, files)
            for split, rows in tables.items():
                for case in islice(dataset.cases(split), limit):
                    done = upgrade(case, writer)
                    written.count(split, done)
                    report.add(split, done)
                    if done.case.questions:
                        images = [album.place(picture) for picture in case.pictures]
                        rows.add(_row(done.case, images, form), split)
        written.images = source if album.referred else None
        write_json(folder / REPORT / "report.json", {"form": form} | written.to_json())
    return written


def conversation(case: Case, images: Sequence[str]) -> dict[str, Any]:
    """The case as LLaVA's training row: human and gpt take turns, pictures in the first."""
    turns: list[dict[str, str]] = []
    system = next((question.system for question in case.questions if question.system), None)
    if system is not None:
        turns.append({"from": "system", "value": system})
    for number, question in enumerate(case.questions):
        placeholders = "<image>\n" * len(images) if number == 0 else ""
        turns.append({"from": "human", "value": f"{placeholders}{question.text}"})
        turns.append({"from": "gpt", "value": (question.answers[0].text or "").strip()})
    image = {} if not images else {"image": images[0] if len(images) == 1 else list(images)}
    return {"id": case.id, **image, "group": case.group, "conversations": turns}


def _row(case: Case, images: Sequence[str], form: str) -> dict[str, Any]:
    return conversation(case, images) if form == "llava" else to_row(case, images)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A fresh folder that takes the target's place when all went well, and goes when it did not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
        folder.replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Pictures:
    """Where each picture is found from the new set: below the source, or newly written."""

    def __init__(self, folder: Path, source: Path | None) -> None:
        self._folder, self._source = folder, source
        self._places: dict[Picture, str] = {}
        self._names: Counter[str] = Counter()
        self.referred = False

    def place(self, picture: Picture) -> str:
        if picture not in self._places:
            self._places[picture] = self._original(picture) or self._written(picture)
        return self._places[picture]

    def _original(self, picture: Picture) -> str | None:
        """The picture's path below the source; None unless that very file holds it."""
        if self._source is None or picture.view != OWN_VIEW:
            return None
        path = self._source / picture.key
        inside = path.resolve().is_relative_to(self._source.resolve())
        if not (inside and path.is_file()):
            return None
        data = picture.read()
        if kind_of(data) not in ENDINGS or path.read_bytes() != data:
            return None
        self.referred = True
        return picture.key

    def _written(self, picture: Picture) -> str:
        data = picture.read()
        ending = ENDINGS.get(str(kind_of(data)))
        if ending is None or picture.view != OWN_VIEW:
            file = BytesIO()
            picture.pixels().save(file, format="PNG")
            data, ending = file.getvalue(), ".png"
        stem = _plain(re.sub(r"\.\w{2,5}$", "", picture.key)) or "picture"
        name = self._unused(stem, ending)
        (self._folder / "images").mkdir(exist_ok=True)
        (self._folder / name).write_bytes(data)
        return name

    def _unused(self, stem: str, ending: str) -> str:
        """A name that no picture has, here or below the source: readers look there first."""
        while True:
            self._names[stem] += 1
            number = self._names[stem]
            name = f"images/{stem}{ending}" if number == 1 else f"images/{stem}~{number}{ending}"
            if self._source is None or not (self._source / name).exists():
                return name


class _Rows:
    """A table's file: JSON lines of ours, or one JSON list as LLaVA's trainer reads it."""

    def __init__(self, path: Path, *, of_splits: bool, listed: bool) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._of_splits, self._listed = of_splits, listed
        self._count = 0

    def __enter__(self) -> _Rows:
        return self

    def add(self, row: dict[str, Any], split: str) -> None:
        if self._of_splits:
            row = {**row, "split": split}
        before = ("[\n" if self._count == 0 else ",\n") if self._listed else ""
        end = "" if self._listed else "\n"
        self._file.write(before + json.dumps(row, ensure_ascii=False) + end)
        self._count += 1

    def __exit__(self, *_: object) -> None:
        if self._listed:
            self._file.write("\n]\n" if self._count else "[]\n")
        self._file.close()


def _tables(folder: Path, splits: Sequence[str], form: str, files: ExitStack) -> dict[str, _Rows]:
    """A table a split; or one for all, with a column, where a split has a name of its own."""
    listed = form == "llava"
    ending = "json" if listed else "jsonl"

    def opened(name: str, *, of_splits: bool) -> _Rows:
        rows = _Rows(folder / f"{name}.{ending}", of_splits=of_splits, listed=listed)
        return files.enter_context(rows)

    if len(splits) > 1 and not set(splits) <= set(ORDER):
        return dict.fromkeys(splits, opened("dialogues", of_splits=True))
    return {split: opened(_plain(split), of_splits=False) for split in splits}


class _Report:
    """The lists of what was dropped, and of sentences that did not follow."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        folder.mkdir()
        self._dropped = files.enter_context((folder / "dropped.jsonl").open("w", encoding="utf-8"))
        path = folder / "unsupported.jsonl"
        self._unsupported = files.enter_context(path.open("w", encoding="utf-8"))

    def add(self, split: str, done: Upgraded) -> None:
        for dropped in done.dropped:
            row = dropped.to_row(done.case.id, split)
            self._dropped.write(json.dumps(row, ensure_ascii=False) + "\n")
        for sentence in done.unsupported:
            row = {"case": done.case.id, "split": split, "sentence": sentence}
            self._unsupported.write(json.dumps(row, ensure_ascii=False) + "\n")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)
