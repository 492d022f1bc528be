"""Candidates in a prompt: their form, those without words, and members that disagree on ids."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius import Answer, Dialogue, Picture, Prediction, Question, Turn
from vesalius.combine.fuser.candidates import (
    Stored,
    fused,
    wordless,
    words_of,
)
from vesalius.errors import ModelError
from vesalius.recipe import Decoding


def dialogue(name: str = "d", **more: object) -> Dialogue:
    question = Question("What  is\tseen?", answers=(Answer("a mass"),))
    shown = Picture("p", lambda: b"")
    return Dialogue(name, (Turn(question, (shown,)),), "g", "c", **more)  # type: ignore[arg-type]


def said(text: str | None, name: str = "d", **more: object) -> Prediction:
    answer = Answer(text) if text is not None else Answer(concepts=("C1",))
    return Prediction.of(dialogue(name), answer, **more)


def test_the_published_form() -> None:
    prompt = fused(dialogue(), [said("A mass."), said("no\n mass"), said("C")], "Combine.")
    assert prompt.question.text == "Combine. 1. A mass. 2. no mass 3. C"
    assert prompt.question.answers == (Answer("a mass"),)
    assert prompt.pictures == ()
    assert (prompt.id, prompt.group, prompt.case) == ("d", "g", "c")


def test_the_question_stands_where_the_instruction_wants_it() -> None:
    prompt = fused(dialogue(), [said("A"), said("B")], "Asked: {question} Say one.")
    assert prompt.question.text == "Asked: What is seen? Say one. 1. A 2. B"


def test_context_stays_and_earlier_turns_go() -> None:
    first = Turn(Question("Which organ?"), (Picture("p", lambda: b""),), Answer("lung"))
    whole = dialogue(context={"indication": "cough"})
    prompt = fused(replace(whole, turns=(first, *whole.turns)), [said("A"), said("B")], "Say.")
    assert len(prompt.turns) == 1
    assert prompt.context == {"indication": "cough"}


def test_empty_and_abstained_candidates_stand_as_such_and_are_counted() -> None:
    answers = [said(" \n"), said("unsure", abstained=True), said("a mass")]
    assert fused(dialogue(), answers, "Say.").question.text == (
        "Say. 1. (empty) 2. (abstained) 3. a mass"
    )
    assert wordless(answers) == {"empty_candidates": 1, "abstained_candidates": 1}
    assert [words_of(one) for one in answers] == ["", "", "a mass"]
    assert wordless(answers[2:]) == {}


def test_an_answer_without_words_is_no_candidate() -> None:
    with pytest.raises(ModelError, match="d: a member's answer has no text"):
        fused(dialogue(), [said(None), said("a")], "Say.")


@settings(max_examples=25)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=2, max_size=9))
def test_trap_exactly_three_models_only(texts: list[str]) -> None:
    # The trap: exactly three models only.
    prompt = fused(dialogue(), [said(text) for text in texts], "Say.").question.text
    plain = [" ".join(text.split()) for text in texts]
    assert prompt == "Say. " + " ".join(f"{n}. {t}" for n, t in enumerate(plain, start=1))


def test_stored_answers_are_found_by_id_or_not_given() -> None:
    stored = Stored.of([said("a", "one"), said("b", "two")])
    given_again = stored.predict([dialogue("two"), dialogue("one")], Decoding())
    assert [one.text for one in given_again] == ["b", "a"]
    with pytest.raises(ModelError, match="three: the member's answer is not stored"):
        stored.predict([dialogue("three")], Decoding())
