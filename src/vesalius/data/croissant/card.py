"""A data set's card as Croissant 1.1 with RAI: what is known, and in words what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.data.cards import Card
from vesalius.data.croissant.distribution import Distribution, distribution_of
from vesalius.data.croissant.vocabulary import vocabulary
from vesalius.data.datasets import Dataset
from vesalius.errors import DatasetError

HUB = "https://huggingface.co/datasets/"
COUNTS = ("cases", "pictures", "questions")
_SPLITS = "splits"


@dataclass(frozen=True, slots=True)
class Croissant:
    """The JSON-LD, and in words what is unknown and so not in it."""

    content: Mapping[str, Any]
    omissions: tuple[str, ...]


def croissant_card(
    card: Card,
    dataset: Dataset | None = None,
    *,
    root: Path | None = None,
    options: Mapping[str, Any] | None = None,
    without: Path | None = None,
) -> Croissant:
    """``card`` in Croissant's words, with the files below ``root`` and the splits of ``dataset``.

    Without a data set at hand splits are counted as the card has them for ``options``, and the
    hub's copy, where the card names one, stands for the files. ``without`` is the file that this is
    written to. Files are named as they lie below ``root``, where the result belongs.
    """
    files = _on_the_hub(card) if root is None else distribution_of(root, without)
    splits = _counted(dataset) if dataset is not None else _published(card, options or {})
    omissions = [*files.omissions, "creator, datePublished and version, which no card has"]
    content: dict[str, Any] = {"@context": vocabulary()["context"], "@type": "sc:Dataset"}
    content |= {"conformsTo": vocabulary()["conforms_to"], "name": card.name}
    content |= {"alternateName": card.title, "description": card.summary, "url": card.homepage}
    content |= {"license": card.licence, "keywords": ["medical imaging", *card.fields]}
    if card.citation != "none":
        content["citeAs"] = card.citation
    else:
        omissions.append("citeAs: the card has no citation")
    if root is None and card.hub:
        content["isLiveDataset"] = True
    content |= _responsible(card, omissions)
    if files.files:
        content["distribution"] = files.files
    else:
        omissions.append("distribution: no files are at hand, and the card names no hub copy")
    records = [*files.records, *([_split_records(splits)] if splits else [])]
    if records:
        content["recordSet"] = records
    if not splits:
        omissions.append("the counts of its splits")
    return Croissant(content, tuple(omissions))


def _responsible(card: Card, omissions: list[str]) -> dict[str, Any]:
    """What the card says in RAI's words: its own ``rai``, its quirks and its intended use."""
    stated: dict[str, Any] = {"dataUseCases": card.intended_use, "dataLimitations": card.quirks}
    stated |= card.rai
    names = vocabulary()["rai"]
    unknown = [name for name in names if not stated.get(name)]
    omissions.append(f"of RAI, as the card does not say: {', '.join(unknown)}")
    return {
        f"rai:{name}": [" ".join(text.split()) for text in _listed(stated[name])]
        for name in names
        if stated.get(name)
    }


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _on_the_hub(card: Card) -> Distribution:
    """The hub's copy as it is today: it has no checksum, and the card says that it may change."""
    return Distribution(
        [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "contentUrl": f"{HUB}{name}",
                "encodingFormat": "git+https",
            }
            for name in card.hub[:1]
        ]
    )


def _counted(dataset: Dataset) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for split in dataset.splits():
        counts = dict.fromkeys(COUNTS, 0)
        for case in dataset.cases(split):
            counts["cases"] += 1
            counts["pictures"] += len(case.pictures)
            counts["questions"] += len(case.questions)
        rows.append({"name": split} | counts)
    return rows


def _published(card: Card, options: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The splits as their publisher counts them; none where the card has no counts."""
    try:
        release = card.release(options)
    except DatasetError:
        return []
    rows: list[dict[str, Any]] = []
    for split, pictures in release.images.items():
        row = {"name": split, "pictures": pictures}
        if release.questions:
            row["questions"] = release.questions.get(split, 0)
        rows.append(row)
    return rows


def _split_records(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The splits as a record set that holds its own data."""
    types = {name: "sc:Text" if name == "name" else "sc:Integer" for name in rows[0]}
    fields = [
        {"@type": "cr:Field", "@id": f"{_SPLITS}/{name}", "name": name, "dataType": kind}
        for name, kind in types.items()
    ]
    return {
        "@type": "cr:RecordSet",
        "@id": _SPLITS,
        "name": _SPLITS,
        "dataType": "cr:Split",
        "key": {"@id": f"{_SPLITS}/name"},
        "field": fields,
        "data": [{f"{_SPLITS}/{name}": value for name, value in row.items()} for row in rows],
    }
