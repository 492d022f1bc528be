"""Which answers about one picture exclude each other, and which questions may bring it about."""

from __future__ import annotations

import itertools

import pytest

from vesalius.language.statements import SILENT, claim, comparable, excludes

CLASHES = [
    # the same question with another polarity, read by a rule or not
    (("is there a cyst?", "yes"), ("Is there a cyst", "No."), "polarity"),
    (("Will medical therapy be enough?", "yes"), ("will medical therapy be enough", "no"),
     "polarity"),
    # the same thing in other words
    (("Is there a pneumothorax?", "no"), ("Is a pneumothorax present?", "yes"), "polarity"),
    (("is there no fracture?", "yes"), ("do you see a fracture?", "yes"), "polarity"),
    (("is there a nodule?", "no"), ("how many nodules are there?", "two"), "polarity"),
    # yes or no beside the modality or the plane
    (("is this a ct scan?", "no"), ("what modality is shown?", "ct with iv contrast"), "polarity"),
    (("is this an mri scan?", "yes"), ("which imaging modality is this?", "x-ray"), "values"),
    (("what is the weighting?", "t1"), ("what modality is shown?", "ct"), "values"),  # T1 is MRI
    (("is this a coronal section?", "yes"), ("what plane is seen?", "axial"), "values"),
    # a mass is no normal picture
    (("is there a mass?", "yes"), ("is there anything abnormal?", "no"), "values"),
    (("is this image normal?", "yes"), ("is the image abnormal?", "yes"), "values"),
    (("was the ct scan taken with contrast?", "yes"), ("is this a noncontrast ct?", "yes"),
     "values"),
    # two alternatives of one question
    (("Is this cancer or hemorrhage?", "Cancer"), ("is this cancer or hemorrhage?", "hemorrhage"),
     "choice"),
]  # fmt: skip

PEACE = [
    (("is there a cyst?", "yes"), ("is there a mass?", "no")),
    (("is this a contrast-enhanced CT?", "no"), ("what modality is shown?", "ct")),
    (("is this a CT of the abdomen?", "no"), ("is this a CT?", "yes")),
    (("is this a ct scan?", "no"), ("is this an mri scan?", "no")),  # it may be an x-ray
    (("is there a catheter?", "yes"), ("is this image normal?", "yes")),  # not certain
    (("is there a nodule?", "no"), ("is there anything abnormal?", "yes")),
    (("is there a mass?", "yes and no"), ("is there a mass?", "no")),  # unreadable
    (("what modality is shown?", "ct or mri"), ("is this an mri?", "no")),
    (("what abnormality is seen?", "edema"), ("what abnormality is seen?", "mass")),
    (("Is this cancer or hemorrhage?", "unclear"), ("is this cancer or hemorrhage?", "cancer")),
]


@pytest.mark.parametrize(("first", "second", "why"), CLASHES)
def test_what_excludes_each_other(first, second, why):
    assert excludes(claim(*first), claim(*second)) == why
    assert excludes(claim(*second), claim(*first)) == why
    assert comparable(first[0], second[0])


@pytest.mark.parametrize(("first", "second"), PEACE)
def test_what_does_not(first, second):
    assert excludes(claim(*first), claim(*second)) is None


def test_options_make_a_choice_of_their_own_words_only():
    options = ("small", "large")
    small, large = (claim("how large is it?", word, options) for word in options)
    assert excludes(small, large) == "choice"
    assert claim("how large is it?", "It is rather large.", options) == SILENT


def test_comparable_does_not_look_at_answers():
    assert not comparable("is there a cyst?", "is there a catheter?")
    assert not comparable("where is the mass?", "where is the cyst?")
    assert comparable("what modality is shown?", "what plane is this?") is False
    assert comparable("how large?", "how large?", ("a", "b"), ("a", "b"))


def test_no_claim_excludes_itself():
    # whatever is said once may be said twice
    said = [pair for clash in CLASHES for pair in clash[:2]]
    for question, answer in said:
        assert excludes(claim(question, answer), claim(question, answer)) is None


def test_a_clash_needs_comparable_questions():
    # what the rate is counted over holds every pair that can be counted in it
    said = [pair for pairs in (*CLASHES, *PEACE) for pair in pairs[:2]]
    for (q, a), (p, b) in itertools.combinations(said, 2):
        if excludes(claim(q, a), claim(p, b)):
            assert comparable(q, p), (q, p)
