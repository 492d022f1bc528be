"""Bring your own data in: read, check, split by group, write a set that needs no options."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vesalius.cases.case import Case, Question, Source
from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW
from vesalius.data.audit import audit, read_members
from vesalius.data.check import Finding, check
from vesalius.data.datasets import Dataset
from vesalius.data.open import refuse_twin
from vesalius.data.reading.streams import in_order
from vesalius.data.split import split_members
from vesalius.errors import DatasetError, ImageError
from vesalius.system.files import write_atomic


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written: cases by split, the findings, and how many pictures had text covered."""

    root: Path
    cases: Mapping[str, int]
    findings: tuple[Finding, ...]
    covered: int = 0


def import_dataset(
    dataset: Dataset,
    target: Path,
    *,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
    allow_errors: bool = False,
    allow_leaks: bool = False,
    mask_text: bool = False,
) -> Imported:
    """Write ``dataset`` to the new folder ``target``: ``<split>.jsonl`` and ``images/``.

    Pictures are copied byte for byte; with ``mask_text`` those that text is burned into are
    written anew, black boxes over it (the extra ``ocr``). A set with splits of its own keeps them
    unless ``fractions`` are given; a set with none is split by group. Raises DatasetError if the
    target is not empty, or at the first errors of the check unless ``allow_errors`` (faulty cases
    are then left out), and Leakage where splits that are kept share a group or a picture, unless
    ``allow_leaks``.
    """
    if target.exists() and any(target.iterdir()):
        raise DatasetError("the folder is not empty", where=target, hint="name a new one")
    findings = tuple(check(dataset))
    faulty = [finding for finding in findings if finding.level == "error"]
    if faulty and not allow_errors:
        named = "; ".join(f"{f.where}: {f.what}" for f in faulty[:3])
        hint = "mend them (`vesalius data check` lists all), or allow errors to leave them out"
        raise DatasetError(f"{len(faulty)} errors, among them {named}", hint=hint)
    assigned = None
    if fractions is None and len(dataset.splits()) > 1:
        audit(dataset, allow_leaks=allow_leaks)
    else:
        assigned = split_members(read_members(dataset), fractions, seed=seed)
    refused = {finding.where.split(", question ")[0] for finding in faulty}
    images = _Images(target, mask_text)
    cases = _written(dataset, images, assigned, refused)
    return Imported(target, cases, findings, images.covered)


def _written(
    dataset: Dataset, images: _Images, assigned: Mapping[str, str] | None, refused: set[str]
) -> dict[str, int]:
    rows: dict[str, list[str]] = {}
    met: dict[str, Source | None] = {}
    for split in dataset.splits():
        for case in dataset.cases(split):
            if str(case.source) in refused:
                continue
            if assigned is not None:
                refuse_twin(case, met)
            row = case_row(case, [images.copied(p) for p in case.pictures])
            part = split if assigned is None else assigned[case.id]
            rows.setdefault(part, []).append(json.dumps(row, ensure_ascii=False))
    for split, lines in rows.items():
        write_atomic(images.target / f"{split}.jsonl", "\n".join(lines) + "\n")
    return {split: len(rows[split]) for split in in_order(rows)}


def case_row(case: Case, images: Sequence[str]) -> dict[str, Any]:
    """The case as a row that the ``folder`` reader takes without options."""
    row: dict[str, Any] = {"id": case.id, "group": case.group}
    row |= {"image": images[0]} if len(images) == 1 else {"images": list(images)}
    content = {"caption": case.caption, "modality": case.modality, "concepts": case.concepts}
    row |= {name: value for name, value in content.items() if value is not None}
    if case.boxes is not None:
        row["boxes"] = [_box(asdict(box)) for box in case.boxes]
    if case.questions:
        row["questions"] = [_question(question) for question in case.questions]
    return row | ({"context": dict(case.context)} if case.context else {})


def _box(box: Mapping[str, Any]) -> dict[str, Any]:
    numbers = [box[name] for name in ("x", "y", "width", "height")]
    drawn = {} if box["polygon"] is None else {"polygon": box["polygon"]}
    return {"bbox": numbers, "label": box["label"], **drawn}


def _question(question: Question) -> dict[str, Any]:
    row = {
        "id": question.id,
        "question": question.text,
        "answers": [answer.text for answer in question.answers if answer.text is not None],
        "category": question.category,
        "kind": question.kind,
        "options": question.options,
        "language": question.language,
    }
    return {name: value for name, value in row.items() if value is not None}


class _Images:
    """The pictures below ``target``, each under a plain, unused name."""

    def __init__(self, target: Path, mask_text: bool) -> None:
        self.target, self.mask_text, self.covered = target, mask_text, 0
        self._names: Counter[str] = Counter()

    def copied(self, picture: Picture) -> str:
        """The path of the copy, relative to the target."""
        if picture.view != OWN_VIEW:
            where, hint = picture.key, "the dicom reader keeps them; import pictures"
            what = "a frame of a file cannot be copied by itself"
            raise DatasetError(what, where=where, hint=hint)
        plain = Path(re.sub(r"[^A-Za-z0-9._-]+", "_", picture.key.split("/")[-1]))
        try:
            data, suffix = self._content(picture.read(), plain.suffix)
        except ImageError as error:
            raise DatasetError(f"{picture.key}: {error.what}") from error
        plain = plain.with_suffix(suffix) if suffix != plain.suffix else plain
        self._names[plain.name] += 1
        number = self._names[plain.name]
        name = plain.name if number == 1 else f"{plain.stem}~{number}{plain.suffix}"
        write_atomic(self.target / "images" / name, data)
        return f"images/{name}"

    def _content(self, data: bytes, suffix: str) -> tuple[bytes, str]:
        if not self.mask_text:
            return data, suffix
        from vesalius.cases.reencode import reencode
        from vesalius.data.burned_in import inspect

        picture, regions = inspect(reencode(data), mask=True)
        self.covered += bool(regions)
        return (picture.data, picture.suffix) if regions else (data, suffix)
