"""Every metric of texts is not measured or right, whatever script the words are of."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.caveats import of_metrics
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics import metrics

ALPHABETS = {
    "Latin": "abcdefgh",
    "marked": "äéñøßğ",
    "Greek": "αβγδεζ",
    "Cyrillic": "абвгде",
    "Han": "肺炎左右图像",
    "kana": "ひらカタナ",
    "Hangul": "가나다라마",
    "Arabic": "ابتثج",
    "Hebrew": "אבגדה",
    "Devanagari": "कखगघङ",
    "Thai": "กขคงจ",
    "digits": "0123456789",
}
FULL = {
    "squad": ("squad.em", "squad.f1"),
    "closed": ("closed.accuracy",),
    "rouge": ("rouge.1", "rouge.L"),
    "tolerant": ("tolerant.rougeL_0.5",),
    "bleu": ("bleu",),
    "bleu_coco": ("bleu_coco.1", "bleu_coco.4"),
    "dialogue": ("dialogue.right",),
}
"""Scores that are 1 for two equal texts of four words and more."""
word = st.sampled_from(list(ALPHABETS)).flatmap(
    lambda name: st.text(st.sampled_from(ALPHABETS[name]), min_size=2, max_size=6)
)
text = st.lists(word, min_size=4, max_size=9).map(" ".join)


def row(said, gold, name="a"):
    return Prediction(
        name, Answer(text=said), references=(Answer(text=gold),), kind="closed", case=name
    )


def values(name, *rows):
    metric = metrics[name]()
    return metric.aggregate(metric.measure(rows), np.ones((1, len(rows))))


@settings(max_examples=60, deadline=None)
@given(text)
@pytest.mark.parametrize("name", list(FULL))
def test_equal_texts_score_the_most_or_are_not_measured(name, said):
    decomposed = unicodedata.normalize("NFD", said)
    for score in FULL[name]:
        value = values(name, row(decomposed, said))[score][0]
        assert np.isnan(value) or value == pytest.approx(1), score


@settings(max_examples=60, deadline=None)
@given(text, text)
@pytest.mark.parametrize("name", list(FULL))
def test_texts_without_a_shared_word_do_not_score(name, said, gold):
    if {c for c in said if c != " "} & {c for c in gold if c != " "}:
        return
    for score in FULL[name]:
        if name != "bleu_coco":  # its tools give an order without matches almost nothing
            value = values(name, row(said, gold))[score][0]
            assert np.isnan(value) or value == 0, score


@pytest.mark.parametrize("name", ["rouge", "meteor_exact_stem", "tolerant", "bleu", "cider_d"])
@pytest.mark.parametrize("said", ["左肺见大片阴影", "β", "Затемнение левого лёгкого справа"])
def test_a_mixed_set_is_not_halved(name, said):
    english = [row("a mass in the left lung", "a mass in the left lung", str(i)) for i in range(3)]
    alone = values(name, *english)
    found = evaluate([*english, row(said, said, "foreign")], [name], resamples=0)
    score = found.overall()[0]
    if score.n == 3:
        assert score.value == pytest.approx(alone[score.metric][0])
        assert found.counts[name] == {"unread": 1}
        assert of_metrics(found)[0].startswith(f"{name}: 1 of 4 have a reference")
    else:  # words between spaces are words to it
        assert name in {"bleu", "cider_d"}
        assert score.value >= alone[score.metric][0] - 1e-9


def test_a_word_that_cannot_be_read_in_an_answer_is_a_wrong_word():
    # "a mass" of 2 words, "a mass 肺 炎" of 4: P 1/2, R 1, F 2/3
    assert values("rouge", row("a mass 肺炎", "a mass"))["rouge.1"][0] == pytest.approx(2 / 3)
    assert values("rouge", row("肺炎", "a mass"))["rouge.1"][0] == 0


def test_rouge_of_any_script_says_so():
    metric = metrics["rouge"](tokens="unicode")
    table = metric.measure([row("左肺阴影", "右肺阴影")])
    # four characters each, three shared
    assert table["rouge.1.unicode"][0] == 0.75
    assert "each character" in metric.protocol.normalisation


@pytest.mark.parametrize(("tokenize", "score"), [("13a", None), ("zh", 1), ("char", 1)])
def test_bleu_of_chinese_needs_a_tokeniser_of_chinese(tokenize, score):
    metric = metrics["bleu"](tokenize=tokenize)
    value = metric.aggregate(metric.measure([row("左肺见阴影", "左肺见阴影")]), np.ones((1, 1)))[
        "bleu"
    ]
    assert np.isnan(value[0]) if score is None else value[0] == pytest.approx(score)


@pytest.mark.parametrize(
    ("said", "gold", "right"),
    [
        ("是", "是", 1),
        ("是的。", "是", 1),
        ("不是", "是", 0),
        ("否", "不是", 1),
        ("没有", "没有", 1),
        ("没有异常", "没有", 1),
        ("有", "没有", 0),
        ("有，左肺", "有", 1),
        ("不存在。", "否", 1),
        ("这是CT", "是", 0),  # a copula answers nothing
        ("对比增强", "是", 0),
        ("无法判断", "否", 0),
        ("有，没有", "有", 0),
        ("Yes", "是", 1),
        ("ＹＥＳ", "yes", 1),
        ("左肺", "左肺", 1),
        ("右肺", "左肺", 0),
    ],
)
def test_yes_and_no_of_chinese_questions(said, gold, right):
    assert values("closed", row(said, gold))["closed.accuracy"][0] == right


def test_unread_chinese_replies_are_unparsed():
    found = values("closed", row("这是CT", "是"))
    assert (found["closed.unparsed_rate"][0], found["closed.yes_rate"][0]) == (1, 0)


@pytest.mark.parametrize(
    ("said", "gold", "right"),
    [
        ("2.5 cm", "25 cm", 0),
        ("2.5cm", "2.5 cm", 1),
        ("The left lung", "left lung", 1),
        ("-5", "5", 0),
    ],
)
def test_closed_answers_without_options_keep_their_numbers(said, gold, right):
    assert values("closed", row(said, gold))["closed.accuracy"][0] == right


def test_squad_f1_of_chinese_counts_characters():
    # 左肺炎 and 右肺炎: two of three
    assert values("squad", row("左肺炎", "右肺炎"))["squad.f1"][0] == pytest.approx(2 / 3)
