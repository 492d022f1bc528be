"""VQA-RAD (Lau et al., Scientific Data 5:180251, 2018): clinicians' questions on radiographs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from vesalius.cases.case import Answer, Case, Question, Source
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.hub import hub_splits
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import Row, Rows, gathered, image_id, text_in, text_or_empty
from vesalius.data.reading.streams import (
    ALL,
    Streams,
    parquet_splits,
    split_files,
    unknown_layout,
)
from vesalius.data.reading.tables import read_rows
from vesalius.settings import Frozen, validated

PUBLIC = "VQA_RAD Dataset Public.json"
IMAGES = "VQA_RAD Image Folder"
PUBLISHED = frozenset(
    {"qid", "phrase_type", "qid_linked_id", "image_case_url", "image_name", "image_organ",
     "evaluation", "question", "question_rephrase", "question_relation", "question_frame",
     "question_type", "answer", "answer_type", "image", "official_split"}
)  # fmt: skip
"""The set's own columns; any other is told."""
# Types as the public file spells them in a few rows, and what is meant.
MISSPELT = {"PRSE": "PRES", "ATRIB": "ATTRIB"}


class VqaRadOptions(Frozen):
    """How the public file becomes splits."""

    split: Literal["official", "all"] = "official"
    """``official``: ``phrase_type`` test* is the test split (it shares images with train);
    ``all``: one split, to be divided by image with ``vesalius data split``."""
    paraphrases: bool = True
    """Keep the rephrased questions (``para``, ``test_para``)."""


class VqaRad:
    """The OSF release, rows as JSON lines per split, or the hub's parquet."""

    options = VqaRadOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """The set in folder ``root`` or on the hub; see :class:`VqaRadOptions`."""
        chosen = validated(VqaRadOptions, options, where="options of vqa_rad")
        if root is None or hub:
            album, parts = Album(Path()), hub_splits(str(hub))
        else:
            album, parts = (
                Album(root, [root / IMAGES, root / "images", root]),
                _find_splits(root, chosen),
            )
        return Streams(
            "vqa_rad",
            {s: partial(_cases, rows, album, chosen, split=s) for s, rows in parts.items()},
        )


def _find_splits(root: Path, options: VqaRadOptions) -> dict[str, Rows]:
    if (root / PUBLIC).is_file():
        return _official(root / PUBLIC, options)
    lines = {s: partial(read_rows, path) for s, path in split_files(root, ".jsonl").items()}
    splits = lines or parquet_splits(root)
    if not splits:
        raise unknown_layout(root, PUBLIC, "<split>.jsonl", "parquet files")
    return dict(splits)


def _official(path: Path, options: VqaRadOptions) -> dict[str, Rows]:
    if options.split == "all":
        return {ALL: partial(read_rows, path)}
    return {s: partial(_of_split, path, test=s == "test") for s in ("train", "test")}


def _of_split(path: Path, *, test: bool) -> Iterator[tuple[Source, Row]]:
    for where, row in read_rows(path):
        if text_or_empty(row, where, "phrase_type").startswith("test") == test:
            yield where, row


def _cases(rows: Rows, album: Album, options: VqaRadOptions, *, split: str) -> Iterator[Case]:
    def chosen_rows() -> Iterator[tuple[Source, Row]]:
        for where, row in rows():
            if options.paraphrases or not (text_in(row, "phrase_type") or "").endswith("para"):
                yield where, row

    for name, located in gathered(chosen_rows, lambda w, r: image_id(r, w, "image_name", "image")):
        where, first = located[0]
        yield Case(
            id=name.rpartition(".")[0] or name,
            group=text_in(first, "image_case_url") or name,
            pictures=(picture_in(first.get("image"), name, album, where),),
            questions=tuple(_question(row, place) for place, row in located),
            source=where,
            split=split,
            remarks=beside(located, PUBLISHED),
        )


def _question(row: Row, where: Source) -> Question:
    answer = text_in(row, "answer")  # five answers of the public file are numbers
    kind = (text_in(row, "answer_type") or "").lower()  # "CLOSED " has a trailing blank in two rows
    return Question(
        text=text_or_empty(row, where, "question"),
        id=text_in(row, "qid") or str(where.row),
        answers=() if answer is None else (Answer(text=answer),),
        category=_category(text_in(row, "question_type")),
        kind=kind if kind in ("open", "closed") else None,  # type: ignore[arg-type]
    )


def _category(text: str | None) -> str | None:
    if text is None:
        return None
    types = [part.strip().upper() for part in text.split(",")]
    return ", ".join(sorted(MISSPELT.get(part, part) for part in types))
