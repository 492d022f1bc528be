"""Captions in phrases: a negated list stays whole, what compares with other pictures is dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.language.phrases import finding_phrases, phrases


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CT of the chest. A 2.5 cm nodule in the left lobe, and enlarged nodes.",
         ["CT of the chest", "A 2.5 cm nodule in the left lobe", "enlarged nodes"]),
        ("No effusion, pneumothorax or fracture.", ["No effusion, pneumothorax or fracture"]),
        ("Cardiomegaly, no effusion and no mass", ["Cardiomegaly", "no effusion and no mass"]),
        ("No effusion but a large mass", ["No effusion", "a large mass"]),
        ("Lungs are clear;\nheart normal", ["Lungs are clear", "heart normal"]),
        ("Findings: mass. ", ["Findings", "mass"]),
        ("", []),
        (" . , ; ", []),
        ("one mass measuring 1,200 mm", ["one mass measuring 1,200 mm"]),
    ],
)  # fmt: skip
def test_phrases(text, expected) -> None:
    assert list(phrases(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Unchanged cardiomegaly, compared with the prior study.", ["cardiomegaly"]),
        ("No interval change. Left effusion.", ["Left effusion"]),
        ("The heart is stable, and a persistent left effusion is seen",
         ["a left effusion is seen"]),
        ("Stable.", []),
        ("Again seen is the mass and the mass", ["is the mass", "the mass"]),
        ("No effusion since the prior.", []),
        ("Compared to the prior study, the effusion has increased.", []),
        ("Interval increase in effusion. A mass, larger than before", ["A mass"]),
        ("Mass, mass", ["Mass"]),
    ],
)  # fmt: skip
def test_comparisons_are_dropped_and_findings_stay(text, expected) -> None:
    assert list(finding_phrases(text)) == expected


@given(st.text(alphabet="ab no,.;and but\n", max_size=60))
def test_phrases_are_in_the_text_and_in_order(text) -> None:
    at = 0
    for phrase in phrases(text):
        at = text.index(phrase, at) + len(phrase)
    once = finding_phrases(text)
    assert finding_phrases("\n".join(once)) == once
