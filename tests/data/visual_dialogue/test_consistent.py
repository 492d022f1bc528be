"""Duplicates, repeats and contradictions, and who goes."""

from __future__ import annotations

from vesalius.data.visual_dialogue.consistent import consistent


def told(questions, pair):
    kept, dropped = consistent([pair(*q, id=str(n)) for n, q in enumerate(questions)])
    return [q.id for q in kept], [(d.kind, d.question.id, d.rule) for d in dropped]


def test_the_same_pair_is_told_once(pair):
    rows = [("Is there a cyst?", "Yes"), ("is there  a cyst", "yes."), ("is there a mass?", "yes")]
    assert told(rows, pair) == (["0", "2"], [("duplicate", "1", "")])


def test_another_answer_that_excludes_nothing_is_a_repeat(pair):
    rows = [("what abnormality is seen?", "edema"), ("what abnormality is seen?", "a mass")]
    assert told(rows, pair) == (["0"], [("repeat", "1", "")])


def test_no_answer_is_no_turn(pair):
    rows = [("is there a cyst?", None), ("is there a cyst?", "no"), ("what is it?", " ")]
    assert told(rows, pair) == (["1"], [("unanswered", "0", ""), ("unanswered", "2", "")])


def test_of_two_that_exclude_each_other_neither_is_believed(pair):
    rows = [("is there a cyst?", "yes"), ("is this an mri?", "yes"), ("is there a cyst?", "no")]
    kept, dropped = told(rows, pair)
    assert kept == ["1"]
    assert dropped == [("contradiction", "0", "polarity"), ("contradiction", "2", "polarity")]


def test_the_one_at_odds_with_most_goes_alone(pair):
    # CT stands against two that agree on MRI
    rows = [
        ("what modality is shown?", "mri"),
        ("is this an mri?", "yes"),
        ("is this a ct scan?", "yes"),
    ]
    assert told(rows, pair) == (["0", "1"], [("contradiction", "2", "values")])


def test_languages_do_not_meet(pair):
    questions = [pair("ct?", "yes", language="en"), pair("ct?", "yes", language="zh")]
    assert consistent(questions) == (questions, [])


def test_a_finding_is_a_row_with_both_pairs(pair):
    _, (first, _) = consistent(
        [pair("is there a cyst?", "yes", id="7"), pair("is there a cyst?", "no", id="9")]
    )
    assert first.to_row("case", "train") == {
        "case": "case",
        "split": "train",
        "kind": "contradiction",
        "rule": "polarity",
        "pairs": [
            {"id": "7", "question": "is there a cyst?", "answer": "yes"},
            {"id": "9", "question": "is there a cyst?", "answer": "no"},
        ],
    }
