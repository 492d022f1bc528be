"""Bring your own data in: read, check, split by group, write a set that needs no options."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.cases.view import OWN_VIEW
from vesalius.data.audit import Key, Member, audit_members, member_of
from vesalius.data.check import Checking, Looked, Summary
from vesalius.data.copies import Copy, Order, lost
from vesalius.data.datasets import Dataset
from vesalius.data.findings import Finding, code_of, finding
from vesalius.data.fingerprint_file import write_fingerprints
from vesalius.data.folder_format import to_row
from vesalius.data.inspection import in_chunks
from vesalius.data.reading.streams import in_order
from vesalius.data.split import empty_splits, qualified, repeated_ids, split_members
from vesalius.data.staging import require_empty, staged
from vesalius.errors import DatasetError
from vesalius.system.files import write_atomic
from vesalius.system.parallel import ParallelMap, progress_bar


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

    Each picture is read and decoded once, on all cores: check, audit, copy and the
    ``fingerprints.jsonl`` that later audits read all come of it. Pictures are copied byte for byte;
    with ``mask_text`` those that text is burned into are written anew, black boxes over it (the
    extra ``ocr``). A set with splits of its own keeps them unless ``fractions`` are given; a set
    with none is split by group. Raises DatasetError if the target is not empty, or at the first
    errors of the check unless ``allow_errors`` (faulty cases are then left out), and Leakage where
    splits that are kept share a group or a picture, unless ``allow_leaks``.
    """
    require_empty(target)
    with staged(target) as folder, ParallelMap("vesalius.data.copies:copy", lost) as cores:
        taken = _Taken(folder, mask_text, cores)
        checking = Checking(Summary())
        findings = [
            one
            for split in dataset.splits()
            for one in checking.split(taken.cases(dataset, split), split)
        ]
        findings += checking.whole()
        refused = _refused(findings, allow_errors=allow_errors)
        rows = [row for row in taken.rows if str(row[0].source) not in refused]
        members = [member for _, member, _ in rows]
        assigned = None
        if fractions is None and len(dataset.splits()) > 1:
            audit_members(members, allow_leaks=allow_leaks)
        else:
            assigned = split_members(members, fractions, seed=seed)
            empty = empty_splits(assigned, members, fractions)
            findings += [finding("empty_split", str(target), empty)] if empty else []
        cases, covered = _written(folder, rows, assigned)
    return Imported(target, cases, tuple(findings), covered)


def _refused(findings: Sequence[Finding], *, allow_errors: bool) -> set[str]:
    """Where the faulty cases are, to be left out; DatasetError unless that is allowed.

    A table that cannot be read to its end is never left out in part, and one without words not
    brought in at all.
    """
    faulty = [one for one in findings if one.level == "error"]
    whole = any(code_of(one.code).whole for one in faulty)
    if faulty and (whole or not allow_errors):
        named = "; ".join(f"{f.where}: {f.what}" for f in faulty[:3])
        listed = "mend them (`vesalius data check` lists all)"
        hint = listed if whole else f"{listed}, or leave them out with --allow-errors"
        count = "1 error:" if len(faulty) == 1 else f"{len(faulty)} errors, among them"
        raise DatasetError(f"{count} {named}", hint=hint)
    return {one.where.split(", question ")[0] for one in faulty}


class _Taken:
    """The cases that were read, as members of the audit, with the copies of their pictures."""

    def __init__(self, folder: Path, mask_text: bool, cores: ParallelMap) -> None:
        self._cores = cores
        self.rows: list[tuple[Case, Member, list[Copy]]] = []
        self._pictures, self._mask = folder / "copies", mask_text
        self._orders = 0

    def cases(self, dataset: Dataset, split: str) -> Looked:
        """The cases of a split, their pictures copied, with what these tell for the check."""
        with progress_bar(f"copying pictures of {split}", None) as advance:
            looked = in_chunks(
                dataset.cases(split), lambda some: self._cores.map(self._ordered(some), advance)
            )
            for case, copies in looked:
                originals = [one.original for one in copies]
                self.rows.append((case, member_of(case, split, originals), copies))
                yield case, originals

    def _ordered(self, pictures: Iterable[Picture]) -> list[Order]:
        orders = []
        for picture in pictures:
            if picture.view != OWN_VIEW:
                where, hint = picture.key, "the dicom reader keeps them; import pictures"
                what = "a frame of a file cannot be copied by itself"
                raise DatasetError(what, where=where, hint=hint)
            self._orders += 1
            orders.append(Order(picture, self._pictures / str(self._orders), self._mask))
        return orders


def _written(
    folder: Path,
    rows: Iterable[tuple[Case, Member, list[Copy]]],
    assigned: Mapping[Key, str] | None,
) -> tuple[dict[str, int], int]:
    """Write the tables and the fingerprints: cases by split, and pictures with covered text."""
    images = _Images(folder)
    lines: dict[str, list[str]] = {}
    again = repeated_ids(assigned or ())
    for case, member, copies in rows:
        split = member.split if assigned is None else assigned[member.key]
        own = replace(case, id=qualified(member.key)) if case.id in again else case
        row = to_row(own, [images.placed(one) for one in copies])
        lines.setdefault(split, []).append(json.dumps(row, ensure_ascii=False))
    for split, texts in lines.items():
        write_atomic(folder / f"{split}.jsonl", "\n".join(texts) + "\n")
    write_fingerprints(folder, {name: one.written for name, one in images.placements.items()})
    shutil.rmtree(folder / "copies", ignore_errors=True)
    covered = sum(one.covered for one in images.placements.values())
    return {split: len(lines[split]) for split in in_order(lines)}, covered


class _Images:
    """The pictures in ``images/``, each under a plain, unused name."""

    def __init__(self, folder: Path) -> None:
        self.placements: dict[str, Copy] = {}
        self._folder = folder
        self._names: Counter[str] = Counter()

    def placed(self, copy: Copy) -> str:
        """Move the copy to its place; its path relative to the data set."""
        plain = Path(re.sub(r"[^A-Za-z0-9._-]+", "_", copy.key.split("/")[-1]))
        if copy.suffix is not None:
            plain = plain.with_suffix(copy.suffix)
        same = plain.name.casefold()  # on many file systems X.png and x.png are one file
        self._names[same] += 1
        number = self._names[same]
        name = plain.name if number == 1 else f"{plain.stem}~{number}{plain.suffix}"
        path = self._folder / "images" / name
        path.parent.mkdir(exist_ok=True)
        copy.path.replace(path)
        self.placements[f"images/{name}"] = copy
        return f"images/{name}"
