"""Words that are none, and what only shows over a whole set."""

from __future__ import annotations

import pytest

from vesalius.cases.case import Answer, Case, Question, Remark
from vesalius.cases.picture import Picture
from vesalius.data.words import WholeSet, words


def case(key="a.png", group=None, **more):
    picture = Picture(key, lambda: b"")
    return Case(id="c", group=group or key, pictures=(picture,), **more)


def found(**more):
    return [(one.level, one.code) for one in words(case(**more), "row 1")]


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "NULL", "<NA>", "#N/A", "None", "-", ".", "n/a", "NA"]
)
def test_marks_of_missing_values_are_no_words(text):
    assert found(caption=text) == [("error", "na_caption")]
    question = Question("what?", "1", (Answer(text),))
    assert found(questions=(question,)) == [("warning", "na_answer")]
    question = Question(text, "1", (Answer("x"),))
    assert found(questions=(question,)) == [("error", "na_question")]


@pytest.mark.parametrize("text", ["none", "no", "Nancy", "0", "nil", "normal", "no. 1"])
def test_words_that_look_like_them_are_words(text):
    assert found(questions=(Question("what?", "1", (Answer(text),)),)) == []


@pytest.mark.parametrize(
    "text", ["a\0b", "Gr\ufffdße", "\x1b[31mred", "x\x7f", "LÃ©sion", "37Â°", "a â€“ b"]
)
def test_signs_that_no_text_has_are_told(text):
    assert found(caption=text) == [("warning", "damaged_text")]
    assert found(questions=(Question("what?", "1", (Answer(text),)),)) == [
        ("warning", "damaged_text")
    ]
    assert found(caption="two\nlines\tand a tab") == []


def test_texts_of_programs_are_told():
    assert found(questions=(Question("is it?", "1", (Answer("True"),)),)) == [
        ("warning", "boolean_word")
    ]
    for mark in ("<img>a.png</img> what?", "<image 1> what?", "<|image|>what?", "[IMG] what?"):
        question = Question(mark, "1", (Answer("x"),))
        assert found(questions=(question,)) == [("warning", "other_mark")]


def whole(*cases):
    noted = WholeSet()
    for number, one in enumerate(cases, start=1):
        noted.add(one, f"row {number}")
    return [(one.code, one.where) for one in noted.findings()]


def test_a_set_without_words_names_what_was_not_read():
    remark = Remark("unread_column", "the column or key 'report' is not read")
    assert whole(case(remarks=(remark,)), case("b.png", remarks=(remark,))) == [
        ("no_words", "row 1")
    ]
    assert whole(case(remarks=(remark,)), case("b.png", caption="x")) == []
    assert whole(case(), case("b.png")) == []


@pytest.mark.parametrize(
    ("keys", "codes"),
    [
        (("p1/a.png", "p1/b.png", "p2/a.png"), ["patient_in_names"]),
        (("patient001/study1/a.png", "patient001/study1/b.png", "patient002/study1/a.png"),
         ["patient_in_names"]),
        (("P12_s1.png", "P12_s2.png", "P13_s1.png"), ["patient_in_names"]),
        (("a/12-1.png", "a/12-2.png", "a/13-1.png"), ["patient_in_names"]),
        (("a/001.png", "a/002.png", "a/003.png"), []),
        (("img_1.png", "img_2.png", "img_3.png"), []),
        (("p1/a.png", "p2/a.png", "p3/a.png"), []),
        (("v2_1.png", "v2_2.png"), []),
        (("train/v2_1.png", "train/v2_2.png", "test/v2_3.png"), []),
        (("train/1.png", "train/2.png", "test/3.png"), []),
    ],
)  # fmt: skip
def test_names_that_patients_may_share_are_told(keys, codes):
    assert [code for code, _ in whole(*(case(key, caption="x") for key in keys))] == codes
    assert whole(*(case(key, "known", caption="x") for key in keys)) == []


@pytest.mark.parametrize("text", ["LÉSION", "NÃO", "château", "37 °C", "a – b", "«É»", "MANHÃ"])
def test_letters_with_accents_are_words(text):
    assert found(caption=text) == []


@pytest.mark.parametrize("text", ["&lt;3 cm", "a&nbsp;b", "a<br/>b", "<P class=x>a</P>", "3&#176;"])
def test_html_is_told(text):
    assert found(caption=text) == [("warning", "markup")]
    asked = Question(text, "1", (Answer("x"),)), Question("what?", "2", (Answer(text),))
    assert found(questions=asked) == [("warning", "markup")] * 2


@pytest.mark.parametrize(
    "text", ["< 3 cm", "a < b > c", "R&D", "T1 & T2;", "<image> what?", "p<0.05"]
)
def test_signs_of_less_and_and_are_no_html(text):
    assert found(questions=(Question(text, "1", (Answer("x"),)),)) == []


@pytest.mark.parametrize("text", ["", " \n", "\u00a0", "\u200b", "\ufeff \u200f"])
def test_words_of_which_nothing_is_seen_are_none(text):
    assert found(caption=text) == [("error", "empty_caption")]
    assert found(questions=(Question(text, "1", (Answer("x"),)),)) == [("error", "empty_question")]
    assert found(questions=(Question("x", "1", (Answer(text),)),)) == [("warning", "empty_answer")]
