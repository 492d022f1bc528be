"""What a writer is told, what is cleaned of its text, and what is counted in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.combine.synthesizer.synthesis import (
    Synthesis,
    cleaned,
    sentence_count,
    violations,
    writer_prompt,
)

ONE = Synthesis()
DRAFT = "Chest CT showing a nodule of 12 mm in the right lung."
NEAR = ["Axial CT of the chest with pleural effusion.", "No pneumothorax."]


def test_the_published_form() -> None:
    prompt = writer_prompt(DRAFT, NEAR, (), ONE)
    assert prompt == (
        "Write the caption of a medical image from a draft caption and captions of similar images: "
        "one sentence of at most 50 words that names the imaging modality, the organ or body part, "
        "and the findings. Use details of the similar captions where they fit the draft. Add "
        f"nothing that does not stand there. Draft: {DRAFT} Similar images: 1. {NEAR[0]} "
        f"2. {NEAR[1]} Caption:"
    )


def test_without_neighbours_none_are_spoken_of() -> None:
    prompt = writer_prompt(DRAFT, [], (), ONE)
    assert "similar" not in prompt.lower()
    assert f"Draft: {DRAFT} Caption:" in prompt


def test_concepts_and_a_picture_are_named_only_where_they_are() -> None:
    prompt = writer_prompt("", [], ["Lung", "X-Ray"], ONE, seeing=True)
    assert "from the image, a draft caption and concepts that were detected in it:" in prompt
    assert prompt.endswith("Draft: none Concepts: Lung, X-Ray Caption:")
    several = writer_prompt(DRAFT, [], (), Synthesis(caption_sentences=3, words=90))
    assert "at most 3 sentences of at most 90 words" in several


@given(st.lists(st.sampled_from(["A", "lung", "nodule", "2.5", "cm.", "(left)", "no", "“it”"])))
def test_trap_clean_up_that_eats_the_last_word_of_a_sentence(words: list[str]) -> None:
    text = " ".join(words)
    for form in ("{}", "  {}\n", "Caption: {}", "Final caption:\n{}", "refined CAPTION : {}"):
        kept = cleaned(form.format(text)).split() if words else []
        assert kept == words or (len(words) == 1 and kept == [words[0].strip("“”")])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"A chest film."', "A chest film."),
        ("“A chest film.”", "A chest film."),
        ('"A" and "B"', '"A" and "B"'),  # not around it all
        ("Captions of a film", "Captions of a film"),
        ("A film. Caption: none", "A film. Caption: none"),
        ("Caption:", "Caption:"),  # nothing behind it
        ("A film without an end", "A film without an end"),
        ("", ""),
        ('"', '"'),
    ],
)
def test_only_a_label_in_front_and_quotation_marks_go(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One film", 1),
        ("A nodule of 2.5 cm is seen.", 1),
        ("A nodule (Fig. a) is seen.", 1),
        ("A film. It shows nothing.", 2),
        ("A film! Really? Yes.", 3),
        ('He said "normal." Then he left.', 2),
    ],
)
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentence_count(text) == count


def test_what_stands_in_draft_or_neighbours_is_supported_in_other_words_too() -> None:
    text = "The chest CT demonstrates pleural effusions and nodules of 12 mm on the right."
    assert violations(text, "stop", [DRAFT, *NEAR], ONE) == {}


def test_words_that_nobody_said_are_counted() -> None:
    text = "Chest CT showing a cavitary nodule of 15 mm in the left lung with metastases."
    # cavitary, metastasis, the side and the number
    expected = {"unsupported": 1, "unsupported_words": 4}
    assert violations(text, "stop", [DRAFT, *NEAR], ONE) == expected


def test_a_negation_that_was_turned_is_no_support() -> None:
    assert violations("MR of the chest.", "stop", [DRAFT], ONE)["unsupported_words"] == 1
    assert violations("Pneumothorax.", "stop", NEAR, ONE)["unsupported_words"] == 1
    assert violations("No pleural effusion.", "stop", NEAR, ONE)["unsupported_words"] == 2


def test_length_is_counted_in_words_sentences_and_by_the_cut() -> None:
    short = Synthesis(words=5)
    text = "Axial CT of the chest. With pleural effusion."  # 8 words, 2 sentences
    counts = violations(text, "length", NEAR, short)
    assert counts == {"over_words": 1, "over_sentences": 1, "cut": 1}
    assert violations("", "stop", NEAR, ONE) == {"empty": 1}
    assert violations("word " * 50, "stop", ["word"], ONE) == {}
    assert violations("word " * 51, "stop", ["word"], ONE) == {"over_words": 1}
