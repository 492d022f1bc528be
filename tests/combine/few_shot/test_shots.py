"""Shots in a prompt: their order, their forms, the budget, and what is never left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import MemberAnswer, Neighbour, Prediction, Usage
from vesalius.combine.few_shot.shots import FewShotPrompt, Form, Shot, few_shot_prompt
from vesalius.combine.prompting import CitedCase, estimated_tokens, fitting, nearest_pair

FORMS: list[Form] = ["pictures", "words", "question"]


def picture(key: str) -> Picture:
    return Picture(key, lambda: b"")


def shot(number: int, question: str = "") -> Shot:
    near = Neighbour(f"case {number}", 1 - number / 10, f"{number}.png", "all that was said")
    case = CitedCase(near, question, f"answer {number}")
    return Shot(case, picture(f"shot:{number}.png"))


def asked(text: str = "what is it?", key: str = "test.png") -> Dialogue:
    question = Question(text, id="q", answers=(Answer("gold"),), system="be brief")
    turn = Turn(question, (picture(key),))
    return Dialogue("d", (turn,), "g", case="c", context={"history": "a fall"})


def words(dialogue: Dialogue) -> list[str]:
    return [turn.question.text for turn in dialogue.turns]


def test_the_least_similar_comes_first_and_the_test_case_last() -> None:
    prompt = few_shot_prompt(asked(), [shot(1), shot(2, "which plane?")], "pictures")
    assert words(prompt) == ["which plane?", "what is it?", "what is it?"]
    assert [t.reply and t.reply.text for t in prompt.turns] == ["answer 2", "answer 1", None]
    assert [p.key for p in prompt.pictures] == ["shot:2.png", "shot:1.png", "test.png"]
    assert prompt.examples == 2  # context belongs behind them
    assert (prompt.id, prompt.group, prompt.system) == ("d", "g", "be brief")


@pytest.mark.parametrize("form", FORMS)
@given(count=st.integers(0, 6), fit=st.integers(0, 6))
def test_trap_the_test_image_is_missing_from_the_few_shot_prompt(
    form: Form, count: int, fit: int
) -> None:
    def fits(prompt: Dialogue) -> bool:
        return sum(f"answer {n}" in str(prompt) for n in range(count)) <= fit

    shots = [shot(n) for n in range(count)]
    prompt, left = fitting(shots, lambda some: few_shot_prompt(asked(), some, form), fits)
    assert prompt.picture == picture("test.png")
    assert [p.key for p in prompt.study] == ["test.png"]
    assert prompt.question.text.endswith("what is it?")
    assert prompt.turns[-1].reply is None
    # the least similar were dropped, whatever was
    assert [one.case.neighbour.case for one in left] == [
        f"case {n}" for n in range(min(count, fit))
    ]


def test_trap_train_and_inference_prompts_differ() -> None:
    # What a member was trained on, the bare dialogue, stands in the prompt as it is.
    for form in ("pictures", "words"):
        prompt = few_shot_prompt(asked(), [shot(1)], form)  # type: ignore[arg-type]
        assert prompt.turns[1:] == asked().turns
        assert prompt.context == asked().context
    assert few_shot_prompt(asked(), [], "pictures") == asked()


def test_words_alone_show_no_picture_but_the_one_asked_about() -> None:
    for form in ("words", "question"):
        prompt = few_shot_prompt(asked(), [shot(1), shot(2)], form)  # type: ignore[arg-type]
        assert [p.key for p in prompt.pictures] == ["test.png"]


def test_before_a_first_question_examples_are_words_in_it() -> None:
    history = Turn(Question("is it an x-ray?"), (picture("test.png"),), Answer("yes"))
    talk = Dialogue("d", (history, Turn(Question("of what?"))), "g")
    prompt = few_shot_prompt(talk, [shot(1), shot(2, "which?")], "question")
    first, last = words(prompt)
    assert first == (
        "Of similar images: Question: which? Answer: answer 2 Question: of what? Answer: answer 1 "
        "Of this image: is it an x-ray?"
    )
    assert last == "of what?"
    assert prompt.turns[0].pictures == history.pictures
    assert prompt.examples == 0


def test_the_pair_that_was_asked_most_alike_is_shown() -> None:
    vectors = {"what plane?": [1.0, 0.0], "which plane?": [0.8, 0.6], "what organ?": [0.0, 1.0]}

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.asarray([vectors[text] for text in texts], np.float32)

    pairs = [("what organ?", "lung"), ("which plane?", "axial")]
    # cosines with (1, 0): organ 0.0, plane 0.8
    assert nearest_pair("what plane?", pairs, embed) == ("which plane?", "axial")


def test_a_caption_needs_no_choice() -> None:
    def never(_: Sequence[str]) -> np.ndarray:
        raise AssertionError("nothing is to be compared")

    assert nearest_pair("describe it", [("", "a chest film")], never) == ("", "a chest film")
    pairs = [("what organ?", "lung"), ("", "a chest film")]
    assert nearest_pair("describe it", pairs, never) == ("", "a chest film")
    assert nearest_pair("what organ?", pairs[:1] * 2, never) == ("what organ?", "lung")


def test_tokens_are_estimated_of_all_that_is_sent() -> None:
    # "be brief" 8 + "a fall" 6 + "what is it?" 11 = 25 characters, 4 a token, rounded up: 7
    assert estimated_tokens(asked(), 100) == 7 + 100
    prompt = few_shot_prompt(asked(), [shot(1)], "pictures")
    # and "what is it?" 11 + "answer 1" 8 = 44 characters: 11 tokens; two pictures
    assert estimated_tokens(prompt, 100) == 11 + 200


def test_no_shot_leaks_into_the_prediction() -> None:
    shots = (shot(1), shot(2))
    prompt = few_shot_prompt(asked(), shots, "question")
    member = MemberAnswer("inner", Answer("x"))
    given = Prediction.of(
        prompt,
        Answer("ct"),
        evidence=(Neighbour("of the member", 0.1), member),
        usage=Usage(new_tokens=3),
        notes={"inner": 1},
    )
    own = FewShotPrompt(asked(), prompt, shots, near=3, wanted=5).prediction(given)
    bare = Prediction.of(asked(), Answer("ct"))
    for name in ("id", "question", "references", "group", "case", "picture", "category", "answer"):
        assert getattr(own, name) == getattr(bare, name)
    assert own.usage == Usage(new_tokens=3)
    assert own.evidence[0] == member
    assert [(n.case, n.text) for n in own.neighbours] == [
        ("case 1", "answer 1"),
        ("case 2", "answer 2"),
    ]
    assert own.notes == {"inner": 1, "shots": 2, "fewer_than_k": 1, "dropped_shots": 1}


def test_zero_shot_is_counted_and_cites_nothing() -> None:
    alone = FewShotPrompt(asked(), asked(), (), near=0, wanted=1)
    own = alone.prediction(Prediction.of(asked(), Answer("ct")))
    assert own.evidence == ()
    assert own.notes == {"shots": 0, "zero_shot": 1, "fewer_than_k": 1}
