"""MedPix 2.0 (Siragusa et al., 2025): CT and MR images with captions and clinical cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Case, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import Row, Rows, image_id, required, text_in
from vesalius.data.reading.streams import (
    ALL,
    Streams,
    parquet_splits,
    split_files,
    unknown_layout,
)
from vesalius.data.reading.tables import read_rows
from vesalius.errors import DatasetError
from vesalius.settings import Frozen, validated

Histories = Mapping[str, str]

# Of a clinical case only this may be told to a model: findings, diagnosis, discussion, treatment
# and the title give the answer away.
HISTORY = "History"
PUBLISHED = frozenset(
    {"Type", "U_id", "image", "image_file", "caption", "Description", "Location",
     "Location Category", "official_split"}
)  # fmt: skip
"""The set's own columns; any other is told."""


class MedPixOptions(Frozen):
    """MedPix has nothing to choose."""


class MedPix:
    """``Descriptions.json`` with ``Case_topic.json`` and images, or the same rows by split."""

    options = MedPixOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub."""
        validated(MedPixOptions, options, where="options of medpix")
        parts: dict[str, tuple[Rows, Path | None]]
        if root is None or hub:
            album = Album(Path())
            parts = {s: (rows, None) for s, rows in hub_splits(str(hub)).items()}
        else:
            parts, album = _find_splits(root), Album(root, [root, root / "images", root / "Images"])
        return Streams(
            "medpix",
            {s: partial(_cases, r, cases, album, split=s) for s, (r, cases) in parts.items()},
        )


def _find_splits(root: Path) -> dict[str, tuple[Rows, Path | None]]:
    whole = root / "Descriptions.json"
    if whole.is_file():
        return {ALL: (partial(read_rows, whole), _present(root / "Case_topic.json"))}
    splitted = root / "splitted_dataset"
    for folder, images, cases in (
        (root, "", "cases_"),
        (splitted, "descriptions_", "data_"),
        (root, "descriptions_", "data_"),
    ):
        files = split_files(folder, ".jsonl", images)
        if files:
            clinical = split_files(folder, ".jsonl", cases)
            return {s: (partial(read_rows, p), clinical.get(s)) for s, p in files.items()}
    parts = parquet_splits(root)
    if not parts:
        raise unknown_layout(root, "Descriptions.json", "<split>.jsonl", "parquet files")
    return {split: (rows, None) for split, rows in parts.items()}


def _present(path: Path) -> Path | None:
    return path if path.is_file() else None


def _cases(rows: Rows, clinical: Path | None, album: Album, *, split: str) -> Iterator[Case]:
    histories = {} if clinical is None else _histories(clinical)
    for where, row in rows():
        yield _case(row, where, histories, album, split)


def _case(row: Row, where: Source, histories: Histories, album: Album, split: str) -> Case:
    described = row.get("Description") or {}
    if not isinstance(described, dict):
        raise DatasetError("Description is not a mapping", where=where)
    name = image_id(row, where, "image")
    patient = required(row, where, "U_id")
    history = histories.get(patient)
    return Case(
        id=name,
        group=patient,
        pictures=(picture_in(row["image"], text_in(row, "image_file") or name, album, where),),
        caption=text_in(described, "Caption") or text_in(row, "caption") or "",
        modality=text_in(described, "Modality") or text_in(row, "Type"),
        context={} if history is None else {"history": history},
        source=where,
        split=split,
        remarks=beside([(where, row)], PUBLISHED),
    )


def _histories(path: Path) -> Histories:
    histories = {}
    for where, row in read_rows(path):
        clinical = row.get("Case")
        if not isinstance(clinical, dict):
            raise DatasetError("Case is missing or not a mapping", where=where)
        history = text_in(clinical, HISTORY)
        if history is not None:
            histories[required(row, where, "U_id")] = history
    return histories
