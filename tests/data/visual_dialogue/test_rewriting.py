"""What a writer may say: nothing that no pair says."""

from __future__ import annotations

import pytest

from vesalius.data.visual_dialogue.rewriting import assertion_of, follows, rewrite, sentences

PAIRS = [
    ("what modality is shown?", "ct"),
    ("is there a mass?", "yes"),
    ("is there a mass in the liver?", "no"),
    ("where is the mass?", "left kidney"),
    ("how many masses are there?", "two"),
    ("is there a right pleural effusion?", "no"),
    ("is the spleen normal in size?", "no"),
    ("what is the size of the mass?", "2.5 cm"),
]


@pytest.fixture
def support(pair):
    return [assertion_of(pair(*each)) for each in PAIRS]


@pytest.mark.parametrize(
    "sentence",
    [
        "A CT shows two masses in the left kidney.",
        "There is no mass in the liver.",
        "The spleen is not normal in size.",
        "There is no right pleural effusion.",
        "The mass is 2.5 cm in size.",
    ],
)
def test_what_follows(sentence, support):
    assert follows(sentence, support)


@pytest.mark.parametrize(
    "sentence",
    [
        "An MRI shows a mass.",  # another word
        "There is no mass.",  # only none in the liver
        "A mass is in the right kidney.",  # another side
        "There is a pleural effusion.",  # a denial turned round
        "There is no CT.",  # a statement turned round
        "There are three masses.",  # another number
        "The mass is 5 cm in size.",
        "The effusion is on the right.",  # the side is told, but of what is not there
        "The spleen is normal in size.",
        "The masses are malignant.",
    ],
)
def test_what_does_not(sentence, support):
    assert not follows(sentence, support)


def test_sentences_are_whole():
    assert sentences("One is 2.5 cm.  Two is small! And a cut one") == [
        "One is 2.5 cm.", "Two is small!",
    ]  # fmt: skip


def test_a_good_rewording_is_taken(pair):
    pairs = [pair("is there a mass?", "yes"), pair("is there a cyst?", "no")]
    asked = []

    def writer(prompt):
        asked.append(prompt)
        return "A mass is seen. There is no cyst."

    done = rewrite("The image shows a mass, but no cyst.", pairs, writer)
    assert (done.text, done.unsupported) == ("A mass is seen. There is no cyst.", ())
    assert "is there a mass? yes" in asked[0]


@pytest.mark.parametrize(
    ("written", "dropped"),
    [
        ("A mass is seen. It is malignant.", ("It is malignant.",)),
        ("", ()),
        ("a mass without end", ()),  # no whole sentence
    ],
)
def test_else_the_template_stands(pair, written, dropped):
    pairs = [pair("is there a mass?", "yes")]
    done = rewrite("The image shows a mass.", pairs, lambda _: written)
    assert (done.text, done.unsupported) == ("The image shows a mass.", dropped)
