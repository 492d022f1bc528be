"""Concepts read from captions, for sets without codes: a dictionary and rules for negation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from vesalius.cases.case import Case
from vesalius.data.datasets import Dataset
from vesalius.data.reading.streams import Streams
from vesalius.language.dictionary import FindingDictionary, finding_dictionary
from vesalius.language.findings import findings

OPTION = "concepts_from"
"""The option of any data set that names a dictionary (``vesalius``, ``radlabels``, a file)."""


def with_caption_concepts(dataset: Dataset, dictionary: str) -> Streams:
    """``dataset`` with the concepts that its captions state, in the place of its own.

    What a caption negates or leaves open is no concept; a case without a caption has none
    annotated. MissingExtra or DatasetError where there is no such dictionary.
    """
    known = finding_dictionary(dictionary)
    starts = {split: partial(_cases, dataset, known, split) for split in dataset.splits()}
    return Streams(dictionary, starts, getattr(dataset, "layout", ""))


def _cases(dataset: Dataset, known: FindingDictionary, split: str) -> Iterator[Case]:
    for case in dataset.cases(split):
        yield replace(case, concepts=caption_concepts(case.caption, known))


def caption_concepts(caption: str | None, known: FindingDictionary) -> tuple[str, ...] | None:
    """The concepts that a caption states, in its order; None where there is no caption."""
    if not caption:
        return None
    polarities = findings(caption, known)
    return tuple(concept for concept, polarity in polarities.items() if polarity == "present")
