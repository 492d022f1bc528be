"""Chunks of a streamed completion, good and bad, without a server."""

from __future__ import annotations

import json
import math

import pytest

from vesalius import Dialogue, Question, Turn
from vesalius.errors import Unavailable
from vesalius.models.codecs import TextCodec
from vesalius.models.remote.completion import Completion

DIALOGUE = Dialogue("d", (Turn(Question("what is it?")),), "g")


def line(**choice: object) -> str:
    return f"data: {json.dumps({'choices': [choice]})}"


def test_chunks_become_a_prediction() -> None:
    completion = Completion()
    lines = [
        ": a comment",
        line(delta={"content": "a "}, logprobs={"content": [{"logprob": -1.0}]}),
        line(delta={"content": "lesion"}, logprobs={"content": [{"logprob": -2.0}]}),
        line(delta={}, finish_reason="length"),
        'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}',
        "data: [DONE]",
    ]
    assert "".join(map(completion.read, lines)) == "a lesion"
    completion.require_whole()
    prediction = completion.prediction(DIALOGUE, TextCodec(), 0.5)
    assert (prediction.id, prediction.text, prediction.finish) == ("d", "a lesion", "length")
    # exp of the mean of -1 and -2
    assert prediction.confidence is not None
    assert prediction.confidence.value == pytest.approx(math.exp(-1.5), abs=1e-6)
    assert prediction.usage is not None
    assert (prediction.usage.prompt_tokens, prediction.usage.new_tokens) == (7, 2)


def test_without_probabilities_no_confidence_is_invented() -> None:
    completion = Completion()
    completion.read(line(delta={"content": "x"}, finish_reason="stop"))
    assert completion.prediction(DIALOGUE, TextCodec(), 0.0).confidence is None


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "broke off"),
        (["<html>"], "broke off"),
        ([line(delta={"content": "a"})], "broke off"),
        (["data: [DONE]"], "no choices"),
        (['data: {"choices": []}', "data: [DONE]"], "no choices"),
    ],
)
def test_half_an_answer_is_none(lines: list[str], says: str) -> None:
    completion = Completion()
    for one in lines:
        completion.read(one)
    with pytest.raises(Unavailable, match=says):
        completion.require_whole()


@pytest.mark.parametrize("data", ["[1]", "3", '{"choices": 3}', '{"choices": ["x"]}', "{not json"])
def test_nonsense_is_no_chunk(data: str) -> None:
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Completion().read(f"data: {data}")
