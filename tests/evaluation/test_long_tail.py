"""F1 by how often training has a concept, and by its semantic type."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius import Answer, Prediction
from vesalius.evaluation.long_tail import Counts, by_frequency, by_type, concept_counts
from vesalius.run import ConceptFacts


def row(name: str, wanted: tuple[str, ...], given_: tuple[str, ...] | None) -> Prediction:
    answer = Answer(text="?") if given_ is None else Answer(concepts=given_)
    return Prediction(name, answer, references=(Answer(concepts=wanted),))


ROWS = [
    row("1", ("ct", "mass"), ("ct",)),
    row("2", ("ct",), ("ct", "cyst")),
    row("3", ("rare",), None),  # an answer in words names nothing
]
FACTS = {
    "ct": ConceptFacts("CT", "Diagnostic Procedure", 90),
    "mass": ConceptFacts("Mass", "Finding", 10),
    "cyst": ConceptFacts("Cyst", "Finding", 2),
}


def test_counts_are_of_places() -> None:
    counts = concept_counts([*ROWS, Prediction("4", Answer("no reference"))])
    assert counts == {
        "ct": Counts(2, 2, 2),
        "mass": Counts(1, 0, 0),
        "cyst": Counts(0, 1, 0),
        "rare": Counts(1, 0, 0),
    }
    assert concept_counts([Prediction("4", Answer("x"), references=(Answer("y"),))]) == {}


def test_deciles_go_from_the_most_frequent_and_what_training_has_not_stands_last() -> None:
    rows = by_frequency(concept_counts(ROWS), FACTS)
    assert [(r.name, r.least, r.most, r.concepts) for r in rows] == [
        ("1", 90, 90, 1), ("2", 10, 10, 1), ("3", 2, 2, 1), ("not in training", 0, 0, 1),
    ]  # fmt: skip
    assert [r.macro for r in rows] == [1.0, 0.0, 0.0, 0.0]


def test_macro_is_a_mean_over_concepts_and_pooled_over_places() -> None:
    findings = by_type(concept_counts(ROWS), {**FACTS, "rare": ConceptFacts("Rare", "Finding")})
    procedure, finding = findings
    assert (procedure.name, procedure.pooled) == ("Diagnostic Procedure", 1.0)
    # mass 0 / 1, cyst 0 / 1, rare 0 / 1
    assert (finding.measured, finding.macro, finding.pooled) == (3, 0.0, 0.0)
    both = by_frequency(
        {"a": Counts(9, 9, 9), "b": Counts(1, 1, 0)}, {"a": ConceptFacts("A", train=1)}
    )
    assert [r.pooled for r in both] == [1.0, 0.0]


def test_what_is_nowhere_is_not_measured() -> None:
    (only,) = by_frequency({}, {"ct": FACTS["ct"]})
    assert (only.measured, only.concepts) == (0, 1)
    assert math.isnan(only.macro)
    assert math.isnan(only.pooled)
    assert by_type(concept_counts(ROWS), {"ct": ConceptFacts("CT", None, 3)}) == []


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 50), max_size=40))
def test_every_trained_concept_is_in_one_decile(trains: dict[str, int]) -> None:
    facts = {name: ConceptFacts(name, None, count) for name, count in trains.items()}
    rows = by_frequency({}, facts)
    assert sum(r.concepts for r in rows) == sum(count > 0 for count in trains.values())
    assert len(rows) <= 10
    sizes = [r.concepts for r in rows]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert [r.most for r in rows] == sorted((r.most for r in rows), reverse=True)


def test_pooled_arithmetic() -> None:
    total = Counts(9, 9, 9) + Counts(1, 3, 0)
    assert total.f1 == pytest.approx(2 * 9 / 22)
