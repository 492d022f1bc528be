"""Words made fit for a sentence."""

from __future__ import annotations

import pytest

from vesalius.data.visual_dialogue.words import counted, is_are, listed, number, place, tidy


@pytest.mark.parametrize(
    ("said", "fit"),
    [
        (" Left Parietal lobe. ", "left parietal lobe"),
        ("mr with iv contrast", "MR with IV contrast"),
        ("Respiratory\tmusculoskeletal", "respiratory, musculoskeletal"),  # VQA-RAD's comma
        ("fracture of the femur. small effusion", "fracture of the femur, small effusion"),
        ("sinusitis vs. hemorrhage", "sinusitis vs. hemorrhage"),
        ("Wilms tumor", "Wilms tumor"),
    ],
)
def test_tidy(said, fit):
    assert tidy(said) == fit


@pytest.mark.parametrize(
    ("answer", "where"),
    [
        ("left", "on the left"),
        ("Right side", "on the Right"),
        ("both", "on both sides"),
        ("cecum", "in the cecum"),
        ("anterior mediastinum", "in the anterior mediastinum"),
        ("anterior to the colon", "anterior to the colon"),
        ("bilateral frontal lobes", "in bilateral frontal lobes"),
        ("the pancreas", "in the pancreas"),
        ("diffuse", "diffuse"),
    ],
)
def test_place(answer, where):
    assert place(answer) == where


def test_small_words():
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert [is_are(n) for n in ("the lungs", "the CNS", "the sinus", "the heart and lungs")] == [
        "are", "is", "is", "are",
    ]  # fmt: skip
    assert [number(n) for n in ("two", "12", "none", "many")] == [2, 12, 0, None]
    assert counted(1, "masses", "mass") == "one mass"
    assert counted(12, "ribs", "rib") == "12 ribs"
