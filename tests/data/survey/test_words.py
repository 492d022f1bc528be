"""What an audit says of words, each share with its arithmetic."""

from __future__ import annotations

import pytest

from vesalius.cases.case import Answer, Case, Question
from vesalius.data.fingerprints import Fingerprint, Inspected
from vesalius.data.survey.balance import balance_checks, beyond_chance
from vesalius.data.survey.rows import answer_rows, commonest, plain
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.words import word_checks


def case(name, *asked, picture="", **fields):
    questions = tuple(
        Question(text, answers=tuple(map(Answer, answers)), category=category)
        for text, answers, category in asked
    )
    return Case(name, name, (), questions, **fields), picture


def surveyed(**splits):
    whole = Survey(tuple(splits))
    for split, cases in splits.items():
        for number, (one, picture) in enumerate(cases):
            whole.add(one, split, [])
            if picture:  # what `add` reads off a picture, without drawing one
                looked = [Inspected(64, 64, Fingerprint(picture, None))]
                del whole.rows[len(whole.rows) - len(one.questions) :]
                whole.rows += answer_rows(one, split, looked, number)
    return whole


def results(whole):
    return {one.name: one for one in (*word_checks(whole), *balance_checks(whole))}


def test_blanks_and_case_do_not_count():
    assert plain("  Is it\t MR? ") == "is it mr?"


def test_ties_go_to_the_alphabetically_first():
    assert commonest(["no", "yes", "yes", "no", "maybe"]) == ("no", 2)


def test_questions_and_answers_across_splits():
    train = [case(f"a{n}", ("What plane?", ["axial"], "plane")) for n in range(3)]
    test = [
        case("b0", ("what plane?", ["Axial"], "plane")),
        case("b1", ("What plane?", ["coronal"], "plane")),
        case("b2", ("Which plane is it?", ["sagittal"], "plane")),
        case("b3", ("What organ?", ["liver"], "organ")),
    ]
    found = results(surveyed(train=train, test=test))
    # Two of four test questions stand in training, one of them with its answer.
    assert found["questions"].value == 0.5
    assert found["questions"].facts["again_with_answer"] == 1
    # coronal, sagittal and liver never occur in training: three of four.
    assert found["unseen_answers"].value == 0.75
    assert found["unseen_answers"].state == "fault"
    # "axial" for everything is right once.
    assert found["priors"].value == 0.25


def test_one_split_has_nothing_across_and_its_own_priors():
    found = results(surveyed(all=[case(f"a{n}", ("Mass?", ["no"], "x")) for n in range(10)]))
    assert found["questions"].state == found["unseen_answers"].state == "not measured"
    assert found["priors"].state == "fault"
    assert found["balance"].words == "the set has one split"


def test_a_question_that_is_always_answered_alike_is_named():
    train = [case(f"a{n}", ("Normal?", ["no" if n else "yes"], "x")) for n in range(20)]
    train += [case(f"b{n}", ("Organ?", [str(n)], "x")) for n in range(20)]
    found = results(surveyed(train=train, test=[]))["constant_questions"]
    # 19 of 20 agree, which is 95 %; of 40 answers 20 are to such wordings.
    assert found.value == 0.5
    assert found.tables[0].rows == (("normal?", "20", "no", "95 %"),)


def test_the_same_picture_and_question_with_another_answer():
    train = [
        case("a", ("Mass?", ["yes"], "x"), picture="p1"),
        case("b", ("mass?", ["no"], "x"), picture="p1"),
        case("c", ("Mass?", ["yes", "mass"], "x"), picture="p2"),
        case("d", ("Mass?", ["mass"], "x"), picture="p2"),  # shares an answer: no contradiction
        case("e", ("Mass?", ["no"], "x"), picture="p3"),
    ]
    found = results(surveyed(train=train))["contradictions"]
    assert found.facts == {"repeated": 2, "contradicting": 1}
    assert found.value == 0.5
    assert [key.id for key in found.pairs[0].cases] == ["a", "b"]


def test_captions_that_repeat_or_say_nothing():
    train = [
        case(n, caption=text)
        for n, text in zip(
            "abcd", ["A knee, side view."] * 2 + ["x y", "A hip in two planes."], strict=True
        )
    ]
    found = results(surveyed(train=train, test=[case("e", caption="a knee,  side view.")]))
    # Three share one caption, one has two words: four of five.
    assert found["captions"].value == 0.8
    assert found["captions"].facts["across"] == 1


def test_without_words_nothing_is_measured_and_nothing_is_nought():
    found = results(surveyed(train=[case("a")], test=[case("b")]))
    assert {one.state for one in found.values()} == {"not measured"}
    assert {one.value for one in found.values()} == {None}


def test_unanswered_questions_are_no_answers():
    whole = surveyed(train=[case("a", ("What?", [], None), ("And?", [" "], None))])
    assert (whole.rows, whole.unanswered) == ([], 2)


def test_no_facts_hold_words_of_the_data():
    secret = "Mr Doe of Ward 7"
    train = [case(f"a{n}", (secret, [secret], "x"), caption=secret) for n in range(30)]
    for one in results(surveyed(train=train, test=train)).values():
        assert secret.casefold() not in f"{one.words} {dict(one.facts)}".casefold()


def test_chance_is_no_difference_between_splits():
    from collections import Counter

    # 5/10 and 8/20: |.5 - .4| = .1. Pooled 13/30: p(1-p) = .2456; (1/10 + 1/20) .2456 = .03683,
    # times 2/pi .02345, root .1531 for each of two classes, halved and added: .153 > .1.
    assert beyond_chance(Counter(a=5, b=5), Counter(a=8, b=12)) == 0
    # 100 and 100, all of one class here and of another there: 1 - 2 sqrt(2/pi .25/50) / 2 = .9436
    assert beyond_chance(Counter(a=100), Counter(b=100)) == pytest.approx(0.9436, abs=1e-4)


def test_a_set_without_negatives_says_so():
    from vesalius.cases.case import Box

    box = (Box(1, 1, 5, 5, "tumor"),)
    found = results(surveyed(train=[case("a", boxes=box)], test=[case("b", boxes=box)]))
    assert found["negatives"].state == "fault"
    assert "cannot be measured" in found["negatives"].words
    mixed = results(surveyed(train=[case("a", boxes=box)], test=[case("b", boxes=())]))
    assert (mixed["negatives"].state, mixed["negatives"].value) == ("sound", 0.5)
