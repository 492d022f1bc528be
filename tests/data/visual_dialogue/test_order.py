"""Six steps: the data sets' own types first, then the question's form, then its words."""

from __future__ import annotations

import pytest

from vesalius.data.visual_dialogue.order import place_of, step_of


@pytest.mark.parametrize(
    ("category", "step"),
    [
        ("MODALITY", "modality"),  # VQA-RAD
        ("PRES", "presence"),
        ("POS, ABN", "attribute"),  # of several the earliest
        ("PRES, SIZE", "presence"),
        ("Position", "attribute"),  # SLAKE
        ("KG", "diagnosis"),
        ("abnormality", "diagnosis"),  # VQA-Med
        ("side", "attribute"),  # phantoms
    ],
)
def test_a_known_type_decides(pair, category, step):
    assert step_of(pair("is there anything?", "yes", category)) == step


@pytest.mark.parametrize(
    ("question", "step"),
    [
        ("what modality is shown?", "modality"),
        ("is this a ct scan?", "modality"),
        ("is this a coronal section?", "plane"),
        ("is this a cyst?", "presence"),
        ("which organ system is imaged?", "organ"),
        ("is there a cyst?", "presence"),
        ("where is the cyst?", "attribute"),
        ("what abnormality is seen?", "diagnosis"),
        # no rule reads these
        ("which antibody was this stained with?", "modality"),
        ("who drew this?", "diagnosis"),
        ("what colour does the nucleus have", "attribute"),
        ("why is the heart enlarged", "diagnosis"),
    ],
)
def test_without_one_the_question_does(pair, question, step):
    assert step_of(pair(question, "x", None)) == step
    assert step_of(pair(question, "x", "OTHER")) == step  # VQA-RAD's OTHER says nothing


def test_steps_are_in_order(pair):
    steps = ["modality", "plane", "organ", "presence", "attribute", "diagnosis"]
    assert [place_of(pair("?", "x", step)) for step in steps] == list(range(6))
