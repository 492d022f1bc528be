"""Which scores each year of ImageCLEFmedical Caption is made of, read from a data file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from vesalius.settings import Frozen
from vesalius.system.tables import packaged_table

Year = Literal[2023, 2024, 2025, 2026]
Component = Literal[
    "bertscore_f1", "bertscore_recall", "rouge1", "bleurt", "similarity", "concept_f1",
    "align_score", "bleu1", "meteor_exact_stem", "cider_d",
]  # fmt: skip


class YearScores(Frozen):
    """A year's scores: ``groups`` are means of components; without any, the first two lead."""

    groups: Mapping[str, tuple[Component, ...]]
    components: tuple[Component, ...]
    idf: bool
    """Whether BERTScore weighs words by how rare they are in all references."""
    source: str

    @property
    def leading(self) -> tuple[str, str]:
        """The primary and the secondary score."""
        names: list[str] = [*self.groups, *self.components]
        return names[0], names[1]


class _Years(Frozen):
    manual_concepts: frozenset[str]
    years: Mapping[Year, YearScores]


def year_scores(year: Year) -> YearScores:
    """What the organisers score in a year."""
    return _content().years[year]


def manual_concepts() -> frozenset[str]:
    """The concepts that the secondary concept score knows: modalities and regions."""
    return _content().manual_concepts


@lru_cache(maxsize=1)
def _content() -> _Years:
    return _Years.model_validate(packaged_table(__package__, "image_clef_years.yaml"))
