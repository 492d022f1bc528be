"""Captions and concepts in two tables keyed by image id, as ROCO and ImageCLEF ship them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.cases.case import Case, Remark, Source
from vesalius.cases.picture import Picture
from vesalius.data.reading.album import Album, picture_in
from vesalius.data.reading.delimited import named_rows
from vesalius.data.reading.mapping import mapping_names, unknown_concepts
from vesalius.data.reading.record import beside
from vesalius.data.reading.rows import Located, Row, Rows, image_id, text_in, text_or_empty

ID = ("ID", "id", "image_id", "image", "name", "filename")
CAPTION = {"id": ID, "caption": ("Caption", "caption", "text")}
CONCEPTS = {"id": ID, "concepts": ("CUIs", "CUI", "cuis", "cui", "concepts")}

PUBLISHED = frozenset(
    {*ID, "caption", "cui", "cuis", "concepts", "pmc_image", "licence", "license", "keywords",
     "official_split"}
)  # fmt: skip
"""The columns of ROCO and ImageCLEF in their editions; any other is told."""

# UMLS concepts that name how a picture was made, as ROCOv2's manual concepts use them.
MODALITIES = {
    "C0040405": "CT",
    "C0024485": "MR",
    "C1306645": "X-ray",
    "C0041618": "US",
    "C0002978": "angiography",
    "C0032743": "PET",
    "C1699633": "PET/CT",
}


@dataclass(frozen=True)
class Captioned:
    """The files of one split; without a caption file, every picture of the album is a case."""

    album: Album
    captions: Path | None = None
    concepts: Path | None = None
    manual: Path | None = None
    mapping: Path | None = None
    """The publisher's table of concepts: one that is not in it is told."""

    def cases(self, split: str) -> Iterator[Case]:
        """The split's cases in the order of the caption file."""
        concepts, manual = _concepts(self.concepts), _concepts(self.manual)
        named = None if self.mapping is None else mapping_names(self.mapping)
        if self.captions is None:
            rows: Iterable[Located] = (
                (Source(name), {"id": name.rpartition(".")[0]}) for name in self.album.names()
            )
        else:
            rows = named_rows(self.captions, CAPTION)
        for where, row in rows:
            name = image_id(row, where, "id")
            known = concepts.get(_stem(name))
            yield Case(
                id=_stem(name),
                group=_stem(name),
                pictures=(self.album.picture(name, where),),
                caption=None if self.captions is None else text_or_empty(row, where, "caption"),
                concepts=known,
                modality=modality_of((*manual.get(_stem(name), ()), *(known or ()))),
                source=where,
                split=split,
                remarks=(*beside([(where, row)], PUBLISHED), *self._unknown(known, named)),
            )

    def _unknown(
        self, concepts: Iterable[str] | None, named: Collection[str] | None
    ) -> tuple[Remark, ...]:
        if self.mapping is None or named is None:
            return ()
        return unknown_concepts(concepts or (), named, self.mapping.name)


def stored_cases(rows: Rows, album: Album, *, split: str) -> Iterator[Case]:
    """Cases from rows that hold everything: ``image, image_id, caption, cui`` or a text-only set.

    Rows without a picture become cases without one.
    """
    for where, row in rows():
        name = _stem(image_id(row, where, "image_id", "id", "image"))
        concepts = _listed(row)
        yield Case(
            id=name,
            group=_article(row) or name,
            pictures=_pictures(row, name, album, where),
            caption=text_or_empty(row, where, "caption"),
            concepts=concepts,
            modality=modality_of(concepts or ()),
            source=where,
            split=split,
            remarks=beside([(where, row)], PUBLISHED),
        )


def modality_of(concepts: Iterable[str]) -> str | None:
    """How the picture was made, if one of its UMLS concepts says so."""
    return next((MODALITIES[cui] for cui in concepts if cui in MODALITIES), None)


def _stem(name: str) -> str:
    head, dot, ending = name.rpartition(".")
    return head if dot and ending.lower() in ("jpg", "jpeg", "png") else name


def _article(row: Row) -> str | None:
    # Figures of one article often show one patient; ROCO's file names begin with its PMC number.
    file = text_in(row, "pmc_image")
    return None if file is None else file.split("_")[0]


def _pictures(row: Row, name: str, album: Album, where: Source) -> tuple[Picture, ...]:
    value: Any = row.get("image")
    return (
        () if value is None else (picture_in(value, text_in(row, "image") or name, album, where),)
    )


def _listed(row: Row) -> tuple[str, ...] | None:
    value = next((row[name] for name in ("cui", "cuis", "concepts") if name in row), None)
    if isinstance(value, str):
        return _split(value)
    return None if value is None else tuple(map(str, value))


def _split(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(";") if part.strip()))


def _concepts(path: Path | None) -> Mapping[str, tuple[str, ...]]:
    if path is None:
        return {}
    return {
        _stem(image_id(row, where, "id")): _split(text_or_empty(row, where, "concepts"))
        for where, row in named_rows(path, CONCEPTS)
    }
