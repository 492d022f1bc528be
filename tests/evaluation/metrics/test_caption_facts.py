"""What n-grams miss, on pairs made by hand: numbers, sides, polarity, form."""

from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.evaluation.metrics import metrics
from vesalius.evaluation.metrics.caption_facts import repetition


@pytest.fixture
def facts(prediction):
    """facts(answer, *golds, **parameters) -> the row's values by name, the prefix left out."""

    def measure(answer, *golds, **parameters):
        table = metrics["caption_facts"](**parameters).measure([prediction(answer, *golds)])
        return {k.removeprefix("caption."): float(v[0]) for k, v in table.items()}

    return measure


@pytest.mark.parametrize(
    ("kind", "answer", "gold", "wanted"),
    [
        ("numbers", "a 25 mm nodule", "a nodule of 2.5 cm", 1),
        ("numbers", "a 2.5 mm nodule", "a nodule of 2.5 cm", 0),
        ("numbers", "12 mm, 3 mm", "12 mm", 2 / 3),  # 2 x 1 / 3
        ("sides", "right lung", "left lung", 0),
        ("sides", "bilateral effusions", "left effusion", 2 / 3),  # 2 x 1 / (2 + 1)
        ("sides", "both lungs", "bilateral", 1),
        ("polarity", "no pleural effusion", "pleural effusion", 0),
        ("polarity", "no pneumothorax, pleural effusion", "no pneumothorax or effusion, a mass", 1),
        ("polarity", "possible pneumonia", "pneumonia", 0),
        ("findings", "no pleural effusion", "pleural effusion", 0),
        ("findings", "pleural effusions", "pleural effusion", 1),
        # effusion absent agrees, fracture does not stand in the reference: 2 x 1 / (2 + 1)
        ("findings", "a fracture without pleural effusion", "no pleural effusion", 2 / 3),
        ("modality", "CT of the chest", "computed tomography of the thorax", 1),
        ("modality", "CT of the chest", "MRI of the chest", 0),
        ("organs", "CT of the chest", "computed tomography of the thorax", 1),
        ("organs", "the liver", "the liver and the spleen", 2 / 3),
        ("length_ratio", "one two three", "one two three four five six", 0.5),
        ("words", "one two three", "a", 3),
        # "the lung is", "lung is clear", "is clear the", "clear the lung", then two again: 2 of 6
        ("repetition", "the lung is clear the lung is clear", "clear", 2 / 6),
        ("repetition", "the lung is clear", "clear", 0),
    ],
)
def test_by_hand(kind, answer, gold, wanted, facts):
    assert facts(answer, gold)[kind] == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["numbers", "sides", "findings", "polarity", "modality", "organs"])
def test_what_neither_text_has_is_not_measured(kind, facts):
    assert isnan(facts("hello there", "something else")[kind])


def test_an_empty_answer_misses_all_that_the_reference_has(facts):
    found = facts("", "CT of the chest: a 5 mm nodule on the left, no effusion")
    for kind in ("numbers", "sides", "findings", "modality", "organs", "length_ratio", "words"):
        assert found[kind] == 0, kind
    assert isnan(found["polarity"])  # no finding is in both
    assert isnan(found["repetition"])


def test_the_best_reference_counts_and_the_nearest_length(facts):
    found = facts("left lung", "right lung", "left lung", "a left lung and more words here")
    assert (found["sides"], found["length_ratio"]) == (1, 1)


def test_a_reference_in_another_script_is_read_for_its_numbers_alone(facts):
    found = facts("5 cm in the left lung", "肺 5 cm")
    assert found["numbers"] == 1
    assert isnan(found["sides"])
    assert found["unread"] == 1


def test_no_reference_is_not_measured(facts):
    assert all(isnan(value) for name, value in facts("a mass").items() if name != "unread")


def test_a_dictionary_of_ones_own_reads_its_findings(facts, tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("gizmo: {name: Gizmo, phrases: [gizmo]}\n")
    found = facts("no gizmo on CT", "a gizmo on CT", dictionary=str(path))
    assert (found["polarity"], found["modality"]) == (0, 1)
    assert metrics["caption_facts"](dictionary=str(path)).protocol.parameters["dictionary"]


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_repetition_is_a_share_and_grows_when_a_text_is_doubled(tokens):
    once, twice = repetition(tokens), repetition(tokens * 2)
    if len(tokens) >= 3:
        assert 0 <= once < 1
        assert once <= twice < 1


@given(st.text(alphabet="ab ,.0123456789 mmcm left right no mass CT", max_size=40))
def test_a_text_agrees_with_itself(text):
    from vesalius.cases.case import Answer
    from vesalius.cases.prediction import Prediction

    table = metrics["caption_facts"]().measure(
        [Prediction("a", Answer(text), references=(Answer(text),))]
    )
    for name in ("numbers", "sides", "findings", "polarity", "modality", "organs"):
        value = table[f"caption.{name}"][0]
        assert isnan(value) or value == 1, name
