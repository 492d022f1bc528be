"""The long tail: how well concepts are told by how often training had them, and by their type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.run import ConceptFacts

PARTS = 10
UNSEEN, UNTYPED = "not in training", "no type"


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one concept: in how many images it is wanted, given, and both."""

    wanted: int = 0
    given: int = 0
    both: int = 0

    @property
    def f1(self) -> float:
        """2 both / (wanted + given); NaN where it is neither wanted nor given."""
        return 2 * self.both / total if (total := self.wanted + self.given) else float("nan")

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.wanted + other.wanted, self.given + other.given, self.both + other.both)


@dataclass(frozen=True, slots=True)
class TailRow:
    """Concepts of like frequency, or of one type.

    ``measured`` of ``concepts`` are wanted or given somewhere; ``macro`` is the mean of their F1,
    ``pooled`` the F1 of all their places together. ``least`` to ``most``: the training images that
    such a concept has.
    """

    name: str
    concepts: int
    measured: int
    least: int
    most: int
    counts: Counts
    macro: float

    @property
    def pooled(self) -> float:
        """F1 over all places of these concepts."""
        return self.counts.f1


def concept_counts(predictions: Iterable[Prediction]) -> dict[str, Counts]:
    """By concept; predictions without a reference of concepts are left out, abstentions are empty.

    Empty where nothing has concepts.
    """
    counts: defaultdict[str, Counts] = defaultdict(Counts)
    for one in predictions:
        wanted = next((a.concepts for a in one.references if a.concepts is not None), None)
        if wanted is None:
            continue
        given = set(one.answer.concepts or ())
        for concept in given | set(wanted):
            in_both = concept in given and concept in wanted
            counts[concept] += Counts(int(concept in wanted), int(concept in given), int(in_both))
    return dict(counts)


def by_frequency(
    counts: Mapping[str, Counts], concepts: Mapping[str, ConceptFacts]
) -> list[TailRow]:
    """Deciles of the concepts of training, the most frequent first, then those it has none of.

    Every decile has as many concepts (to one); ties go by identifier.
    """
    trained = sorted(
        (name for name, facts in concepts.items() if facts.train > 0),
        key=lambda name: (-concepts[name].train, name),
    )
    parts = np.array_split(np.array(trained, dtype=object), min(PARTS, max(1, len(trained))))
    rows = [
        _row(f"{number}", part.tolist(), counts, concepts)
        for number, part in enumerate(parts, start=1)
        if len(part)
    ]
    unseen = [name for name in counts if name not in set(trained)]
    return rows + ([_row(UNSEEN, unseen, counts, concepts)] if unseen else [])


def by_type(counts: Mapping[str, Counts], concepts: Mapping[str, ConceptFacts]) -> list[TailRow]:
    """A row a semantic type, that with the most wanted places first; empty where none is known."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for name in sorted(counts.keys() | {n for n, facts in concepts.items() if facts.train}):
        facts = concepts.get(name)
        kinds[(facts.kind if facts else None) or UNTYPED].append(name)
    if set(kinds) <= {UNTYPED}:
        return []
    rows = [_row(kind, names, counts, concepts) for kind, names in kinds.items()]
    return sorted(rows, key=lambda row: (-row.counts.wanted, row.name))


def _row(
    name: str,
    some: Sequence[str],
    counts: Mapping[str, Counts],
    concepts: Mapping[str, ConceptFacts],
) -> TailRow:
    trains = [concepts[one].train if one in concepts else 0 for one in some]
    measured = [counts[one] for one in some if one in counts]
    macro = float(np.mean([one.f1 for one in measured])) if measured else float("nan")
    total = sum(measured, Counts())
    return TailRow(name, len(some), len(measured), min(trains), max(trains), total, macro)
