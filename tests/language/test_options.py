"""The option that a reply takes: one table of cases."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.language.options import option_of, tokens, with_letters

LETTERS = ("A", "B", "C", "D")
LONG = (*LETTERS, "E", "I")
SIDES = ("left", "right")
WHAT = ("A. Pneumonia", "B. Pleural effusion", "C. Pneumothorax", "D. None of the above")

CASES = [
    # a letter on a line of its own, and what explains it
    *(
        (reply, LETTERS, "A")
        for reply in (
            "A\nThe mass is large",
            "Answer: A\nThe mass",
            "The answer is A\n\nBecause",
            "**A**\nmass",
        )
    ),
    ("There is a\nmass", LETTERS, None),
    ("A\nB\nC", LETTERS, None),
    # a number that goes on is no option's
    ("The answer is 2.5", ("1. Mass", "2. Cyst"), None),
    ("Answer: 2,5 cm", ("1. Mass", "2. Cyst"), None),
    ("The answer is 2.", ("1. Mass", "2. Cyst"), "2. Cyst"),
    # the letter, however it is set
    *(
        (reply, LETTERS, "A")
        for reply in ("A", "a", "A.", "(A)", "A)", "[A]", "**A**", "a)", "(a)")
    ),
    *(
        (reply, LETTERS, "A")
        for reply in ("Ａ", "Ⓐ", "⒜", "（Ａ）", "A:", "`A`", '"A"', "$A$", "\n A \n")
    ),
    *((reply, LETTERS, "B") for reply in ("Answer: B", "answer is b", "option B", "Option B.")),
    *(
        (reply, LETTERS, "B")
        for reply in ("The answer is B.", "The correct answer is (B)", "**Answer:** B")
    ),
    *(
        (reply, LETTERS, "B")
        for reply in ("B: a mass", "The answer is B, a mass.", "B, because of the edge")
    ),
    *((reply, LETTERS, "B") for reply in ("B) a mass", "B - a mass", "(B) a mass", "B is correct")),
    *(
        (reply, LETTERS, "B")
        for reply in ("I would choose B", "I'd go with B.", "It is B.", "My choice: B")
    ),
    *(
        (reply, LETTERS, "B")
        for reply in ("Based on the image, B.", "Final answer: **B**", "\\boxed{B}")
    ),
    *(
        (reply, LETTERS, "B")
        for reply in ("<answer>B</answer>", "The answer is most likely B", "选B", "答案是B。")
    ),
    *(
        (reply, LETTERS, "B")
        for reply in ("B\nThere is a mass in the liver.", "Correct option: B", "选项B正确")
    ),
    ("The answer is A because of the edge", LETTERS, "A"),
    ("D. There is a fracture of a rib", LETTERS, "D"),
    ("The answer to this question is C", LETTERS, "C"),
    ("I is correct", LONG, "I"),
    ("Answer: I", LONG, "I"),
    # the article, the pronoun, and letters that name something else
    *(
        (reply, LETTERS, None)
        for reply in ("It is a mass in the liver", "A mass in the liver", "a mass")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("I can't tell, a bit unclear", "The answer is a mass", "")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("vitamin D deficiency", "hepatitis B", "Hepatitis B infection")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("vitamins A, D and E", "vitamins A, D", "B12 deficiency", "ABCD")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("a 5 cm mass. A cyst is near.", "type A dissection", "C-shaped")
    ),
    *(
        (reply, LONG, None)
        for reply in ("I think it is a mass", "I, as a physician, see it", "E. coli infection")
    ),
    *((reply, LONG, None) for reply in ("I am not sure", "I", "I see a cyst") if reply != "I"),
    # denials
    *(
        (reply, LETTERS, None)
        for reply in ("not A", "It is not A", "Not option A", "A is incorrect")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("neither A nor B", "Neither A, B nor C", "A is not correct")
    ),
    ("B, not A", LETTERS, "B"),
    ("Not A but B", LETTERS, "B"),
    ("The answer is not A. The answer is B.", LETTERS, "B"),
    ("Option A is wrong; option B is correct", LETTERS, "B"),
    ("The answer is B rather than A", LETTERS, "B"),
    ("It is not left", SIDES, None),
    ("left, not right", SIDES, None),
    ("Neither left nor right", (*SIDES, "neither"), "neither"),
    ("There is no evidence of fracture", ("fracture", "no fracture"), None),
    ("There is no fracture.", ("fracture", "no fracture"), "no fracture"),
    ("not normal", ("normal", "abnormal"), None),
    # more than one
    *(
        (reply, LETTERS, None)
        for reply in ("A or B", "A and B", "A, B", "A/B", "A & B", "Both A and B")
    ),
    *(
        (reply, LETTERS, None)
        for reply in ("(A) or (B)", "The answer is A or B", "Options A and C")
    ),
    ("left and right", SIDES, None),
    # nesting
    ("A and B", (*LETTERS, "A and B"), "A and B"),
    ("Both A and B are right", (*LETTERS, "A and B"), "A and B"),
    ("A", (*LETTERS, "A and B"), "A"),
    ("the left lung", ("left lung", "lung"), "left lung"),
    ("the left lung and the right lung", ("left lung", "lung"), None),
    ("All of the above", (*LETTERS, "all of the above"), "all of the above"),
    # letters before words
    *(
        (reply, WHAT, WHAT[1])
        for reply in ("B", "B.", "(B)", "Pleural effusion", "B. Pleural effusion")
    ),
    *(
        (reply, WHAT, WHAT[1])
        for reply in ("It shows a pleural effusion.", "b. pleural effusion", "Answer: B")
    ),
    *((reply, WHAT, WHAT[1]) for reply in ("B: no pneumonia, but fluid", "the pleural effusion")),
    ("B. Pneumonia", WHAT, None),
    ("None of the above", WHAT, WHAT[3]),
    ("A mass", WHAT, None),
    ("2", ("1. left", "2. right"), "2. right"),
    ("2) right", ("1) left", "2) right"), "2) right"),
    ("B", with_letters(("left", "right")), "B. right"),
    # words
    ("It is the left lung.", SIDES, "left"),
    ("LEFT", SIDES, "left"),
    ("The Hepatitis B virus", ("hepatitis A", "hepatitis B"), "hepatitis B"),
    ("blood group AB", ("A", "B", "AB"), "AB"),
    ("病变在左肺", ("左肺", "右肺"), "左肺"),
    ("не левое", ("левое", "правое"), None),
    ("不是左肺", ("左肺", "右肺"), None),
    ("nicht links", ("links", "rechts"), None),
    ("Größe", ("gro\u0308ße", "kleine"), "gro\u0308ße"),
    # numbers, whole
    ("1.5", ("1", "2", "3"), None),
    ("about 1.5 cm", ("5", "10"), None),
    ("about 5 cm", ("5", "10"), "5"),
    ("2.5 cm", ("2.5 cm", "25 cm"), "2.5 cm"),
    ("The nodule measures 2.5 cm.", ("2.5 cm", "5 cm"), "2.5 cm"),
    ("2.5cm", ("2.5 cm", "25 cm"), "2.5 cm"),
    ("２．５ ｃｍ", ("2.5 cm", "25 cm"), "2.5 cm"),
    ("25 mm", ("2.5 mm", "25 cm"), None),
    ("Result: 0.5", ("0", "0.5", "1.0"), "0.5"),
    ("1", ("0", "0.5", "1.0"), "1.0"),
    ("There are 2 nodules", ("1", "2", "3"), "2"),
    ("1,200 ml", ("1200 ml", "200 ml"), "1200 ml"),
    ("12.0", ("12", "120"), "12"),
    ("2x3", ("2 x 3", "2 x 4"), "2 x 3"),
    ("2 × 3", ("2 x 3", "2 x 4"), "2 x 3"),
    ("-30 HU", ("30 HU", "-30 HU"), "-30 HU"),
    ("\u221230 HU", ("30 HU", "-30 HU"), "-30 HU"),
    ("30 HU", ("-30 HU", "300 HU"), None),
    ("T2", ("T1", "T2"), "T2"),
    ("1 or 2", ("1", "2"), None),
    ("CO2", ("1", "2"), None),
    ("grade 3+", ("3", "3+"), "3+"),
    # symbols
    ("+", ("+", "-"), "+"),
    ("<5 mm", ("<5 mm", ">5 mm"), "<5 mm"),
    ("It is < 5 mm", ("<5 mm", ">5 mm"), "<5 mm"),
    ("5 mm", ("<5 mm", ">5 mm"), None),
    ("ER+", ("ER+", "ER-"), "ER+"),
    ("The tumour is ER-.", ("ER+", "ER-"), "ER-"),
    ("50%", ("50 %", "5 %"), "50 %"),
]


@pytest.mark.parametrize("again", ["(A) ", "A, ", "left ", "neither left nor right ", "not "])
def test_a_reply_that_goes_round_is_read_in_time(again):
    started = time.perf_counter()
    option_of(again * 4000, (*LETTERS, *SIDES))
    assert time.perf_counter() - started < 5  # was 30 s and more


@pytest.mark.parametrize(("reply", "options", "option"), CASES)
def test_option_of(reply, options, option):
    assert option_of(reply, options) == option


@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=4, unique_by=tokens))
def test_an_option_in_its_own_words_is_taken(options):
    for option in options:
        assert option_of(option, tuple(options)) in {option, None}
        if tokens(option):
            assert option_of(option, tuple(options)) == option
