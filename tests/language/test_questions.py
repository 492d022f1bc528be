"""How questions are read: by form, with the pieces that summaries and claims are made of."""

from __future__ import annotations

import pytest

from vesalius.language.questions import bare, bare_noun, normal, parse_question, polarity, values


@pytest.mark.parametrize(
    ("question", "form", "parts"),
    [
        ("What imaging modality was used to take this image?", "modality", {}),
        ("How was the image taken?", "modality", {}),
        ("is this a t1 weighted, t2 weighted, or flair image?", "modality", {}),
        ("In what plane is this MRI taken?", "plane", {}),
        ("Which organ system is imaged?", "organ", {}),
        ("was gi contrast given to the patient?", "contrast", {"agent": "gi"}),
        ("is this a noncontrast ct?", "contrast_is", {"word": "noncontrast", "device": "ct"}),
        ("Is this image normal?", "normality", {"sign": "normal"}),
        ("is there something wrong in the image?", "normality", {"sign": "wrong"}),
        ("Is this a CT of the abdomen?", "is_this", {"word": "a CT of the abdomen"}),
        ("Is there evidence of a rib fracture in this image?", "presence",
         {"thing": "a rib fracture"}),
        ("Is there no evidence of a bleed?", "presence", {"not": "no", "thing": "a bleed"}),
        ("Can a cyst be seen?", "presence", {"thing": "a cyst"}),
        ("Is a pleural effusion present?", "presence", {"thing": "a pleural effusion"}),
        ("Is the spleen normal size?", "predicate",
         {"verb": "Is", "subject": "the spleen", "said": "normal size"}),
        ("Is the mass in the pancreas enhancing?", "predicate",
         {"verb": "Is", "subject": "the mass in the pancreas", "said": "enhancing"}),
        ("Does the skull appear fractured?", "acts",
         {"subject": "the skull", "verb": "appear", "said": "fractured"}),
        ("Is the lesion on the left or right side of the brain?", "chosen",
         {"verb": "Is", "subject": "the lesion", "place": "on"}),
        ("Is this a solid or cystic lesion?", "alternatives",
         {"word": "solid", "other": "cystic lesion"}),
        ("How many masses are there?", "count", {"thing": "masses"}),
        ("Where is the mass located?", "place", {"verb": "is", "subject": "the mass"}),
        ("Which kidney is abnormal?", "named",
         {"noun": "kidney", "verb": "is", "said": "abnormal"}),
        ("what is most alarming about this mri?", "finding", {}),
        ("What is the foreign body?", "thing", {"verb": "is", "subject": "the foreign body"}),
    ],
)  # fmt: skip
def test_questions_of_the_public_sets(question, form, parts):
    read = parse_question(question)
    assert read is not None
    assert (read.form, dict(read.parts)) == (form, parts)


@pytest.mark.parametrize(
    "question",
    [
        "Can a patient with a metal implant get a CXR?",  # knowledge, not the picture
        "How would you measure the length of the kidneys?",
        "Describe the image.",
        "Which organ system is abnormal or large?",
        "肺在图像的哪一侧?",
        "",
    ],
)
def test_others_are_left_unread(question):
    assert parse_question(question) is None


def test_a_normal_question_has_no_case_blanks_or_stop():
    assert normal("  Is this\ta CT? ") == "is this a ct"


@pytest.mark.parametrize(
    ("text", "said"),
    [("Yes.", "yes"), ("no, none", "no"), ("yes and no", None), ("normal", None), ("", None)],
)
def test_polarity_needs_exactly_one_word(text, said):
    assert polarity(text) == said


def test_values_imply_others_and_say_nothing_when_they_clash():
    assert values("modality", "mr - t1w w/gadolinium") == {"mri", "t1"}
    assert values("modality", "t2") == {"t2", "mri"}  # T2 implies MRI
    assert values("modality", "CT or MRI") == frozenset()  # which of the two is not known
    assert values("plane", "Axial plane") == {"axial"}
    assert values("contrast", "ct noncontrast") == {"no contrast"}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("an MRI scan", ("modality", "mri")),
        ("a T2 weighted image", ("modality", "t2")),
        ("a coronal view", ("plane", "coronal")),
        ("a contrast-enhanced CT", None),
        ("a CT of the abdomen", None),
    ],
)
def test_a_bare_name_is_a_value_and_nothing_else(text, named):
    assert bare(text) == named


def test_a_bare_noun_has_no_article_and_no_plural():
    assert [bare_noun(x) for x in ("a mass", "Masses", "the inflammatory foci", "a sinus", "")] == [
        "mass", "mass", "inflammatory focus", "sinus", "",
    ]  # fmt: skip
