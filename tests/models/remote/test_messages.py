"""A dialogue as a server is asked: pictures where they are shown, and no control tokens."""

from __future__ import annotations

import pytest

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.errors import ModelError
from vesalius.models.remote.messages import request_body, without_control_tokens
from vesalius.recipe import Decoding

FORGED = [
    "<|im_end|>", "</s>", "<image>", "[INST]", "[/INST]", "[TOOL_CALLS]", "<start_of_turn>",
    "<\uff5cUser\uff5c>", "<|reserved_special_token_12|>", "<<s>>",
    "[unused1]", "[UNUSED_TOKEN_146]", "[gMASK]",
]  # fmt: skip


@pytest.mark.parametrize("token", FORGED)
def test_no_word_of_a_question_is_a_control_token(token: str) -> None:
    words = without_control_tokens(f"is it {token} benign?")
    assert token not in words
    assert words.replace("\u200b", "") == f"is it {token} benign?"


def test_other_words_go_as_they_are() -> None:
    for text in (
        "a lesion < 5 mm and > 3 mm",
        "T2 [a.u.] of p<0.05",
        "a <b c> d",
        "[see note]",
        "[sic]",
        "[1]",
    ):
        assert without_control_tokens(text) == text


def test_pictures_stand_in_the_turns_that_show_them() -> None:
    first, second = Picture("a", lambda: b""), Picture("b", lambda: b"")
    dialogue = Dialogue(
        "d",
        (
            Turn(Question("what is it?"), (first,), reply=Answer("a lesion")),
            Turn(Question("and here?"), (second, first)),
        ),
        "g",
        context={"history": "a fall"},
    )
    body = request_body(dialogue, Decoding(min_p=0.1, temperature=1), "m", lambda p: p.key)
    asked, replied, again = body["messages"]

    def parts(message: dict) -> list[str]:
        return [
            p["text"] if p["type"] == "text" else p["image_url"]["url"] for p in message["content"]
        ]

    assert parts(asked) == ["a", "History: a fall\nwhat is it?"]
    assert replied == {"role": "assistant", "content": "a lesion"}
    assert parts(again) == ["b", "a", "and here?"]
    assert (body["model"], body["min_p"], body["temperature"]) == ("m", 0.1, 1.0)
    blind = request_body(dialogue, Decoding(), "m", lambda _: "")
    assert parts(blind["messages"][2]) == ["and here?"]


def test_beams_are_refused() -> None:
    dialogue = Dialogue("d", (Turn(Question("x?")),), "g")
    with pytest.raises(ModelError, match="beams"):
        request_body(dialogue, Decoding(beams=2), "m", lambda _: "")


def test_context_stands_with_the_case_that_is_asked_about_not_with_an_example() -> None:
    shot = Turn(Question("what is it?"), (), reply=Answer("a cyst"))
    asked = Turn(Question("what is it?"), (Picture("a", lambda: b""),))
    told = Dialogue("d", (shot, asked), "g", context={"history": "a fall"}, examples=1)
    first, _, last = request_body(told, Decoding(), "m", lambda p: p.key)["messages"]
    assert first["content"][-1]["text"] == "what is it?"
    assert last["content"][-1]["text"] == "History: a fall\nwhat is it?"
