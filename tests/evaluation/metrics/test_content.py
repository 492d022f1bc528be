"""Negation, side and number: what an overlap score cannot see. Concepts beside them."""

import numpy as np
import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError
from vesalius.evaluation.metrics.content import assertions


@pytest.fixture
def content(prediction, scored):
    return lambda said, gold: scored("content", prediction(said, gold))


def test_a_flipped_negation(content):
    assert content("Pleural effusion", "No pleural effusion")["content.negation"] == 0
    assert content("No pleural effusion", "No pleural effusion")["content.negation"] == 1


def test_nothing_negated_is_not_measured(content):
    assert np.isnan(content("Pleural effusion", "Pleural effusion")["content.negation"])


@pytest.mark.parametrize(
    ("text", "negated", "kept"),
    [
        ("no effusion but a mass", {"effusion"}, {"mass"}),
        ("Lungs without consolidation. Enlarged heart.", {"consolidation"}, {"lungs", "heart"}),
        ("pneumothorax is not seen", {"pneumothorax"}, set()),
        ("a mass with calcification", set(), {"mass", "calcification"}),
    ],
)
def test_reach_of_a_negation(text, negated, kept):
    found = assertions(text)
    assert all(not found[word] for word in negated)
    assert all(found[word] for word in kept)


def test_sides(content):
    assert content("left effusion", "right effusion")["content.laterality"] == 0
    # bilateral is left and right: 1 of 2 and 1 of 1, F1 2/3
    half = content("left effusion", "bilateral effusions")["content.laterality"]
    assert half == pytest.approx(2 / 3)
    assert np.isnan(content("effusion", "effusion")["content.laterality"])


def test_numbers_keep_their_letter(content):
    assert content("T1-weighted", "T2-weighted")["content.numbers"] == 0
    # 2.5 shared, L4 and L5 not: 1 of 2 and 1 of 2
    assert content("2.5 cm at L4", "2,5 cm at L5")["content.numbers"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("said", "gold", "f1"),
    [
        ("1,200 ml", "1200 ml", 1),
        ("12.0 mm", "12 mm", 1),
        ("2x3 cm", "2 x 3 cm", 1),
        ("-30 HU", "30 HU", 0),
        ("\u221230 HU", "-30 HU", 1),
        ("2.5 cm", "2.5 mm", 0),
        ("2.5 cm", "25 mm", 1),
        ("2.5", "2.5 cm", 1),
        ("2 x 3 cm", "20 x 30 mm", 1),
        ("5 mm", "50%", 0),
        ("10³", "103", 0),
        ("大小１２ｍｍ", "大小 12 mm", 1),
    ],
)
def test_numbers_are_whole_and_have_units(said, gold, f1, content):
    assert content(said, gold)["content.numbers"] == f1


def test_cues_and_sides_are_read_in_english_alone(content):
    found = content("左肺无肿块 left", "左肺无肿块 left")
    assert np.isnan([found["content.negation"], found["content.laterality"]]).all()


def tagged(said, wanted):
    return Prediction("a", Answer(concepts=said), references=(Answer(concepts=wanted),))


@pytest.mark.parametrize(
    ("said", "wanted", "f1"),
    [
        (("C1", "C2"), ("C2", "C3", "C4"), 0.4),  # 2*1/(2+3)
        ((), (), 1.0),
        ((), ("C1",), 0.0),
        (("C1",), (), 0.0),
    ],
)
def test_concepts_f1(said, wanted, f1, scored):
    assert scored("concepts_f1", tagged(said, wanted))["concepts.f1"] == pytest.approx(f1)


def test_concepts_not_predicted_are_not_measured(scored):
    row = Prediction("a", Answer(text="x"), references=(Answer(concepts=("C1",)),))
    assert np.isnan(scored("concepts_f1", row)["concepts.f1"])


@pytest.mark.parametrize("said", [("C1", "C1"), tuple(f"C{i}" for i in range(101))])
def test_concepts_refuse_duplicates_and_floods(said, scored):
    with pytest.raises(DatasetError, match="a: "):
        scored("concepts_f1", tagged(said, ("C1",)))
