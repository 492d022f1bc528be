"""Answers while they are written: the same as at the end, and stopped on demand."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from toys import FAMILIES, dialogues, network

from vesalius import Dialogue, Prediction
from vesalius.errors import ModelError
from vesalius.models import Piece, Streaming
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.answering.streaming import IncrementalDetokeniser, iterated
from vesalius.recipe import Decoding


def opened() -> list[Dialogue]:
    return [d.replying(None) for d in dialogues()]


def folded(pieces: Iterator[Piece]) -> tuple[dict[int, list[str]], dict[int, Prediction]]:
    """Texts and prediction by place; nothing comes after a prediction."""
    texts: dict[int, list[str]] = {}
    ended: dict[int, Prediction] = {}
    for place, piece in pieces:
        assert place not in ended
        if isinstance(piece, str):
            assert piece
            texts.setdefault(place, []).append(piece)
        else:
            ended[place] = piece
    return texts, ended


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("kept", [False, True])
def test_pieces_are_the_prediction(name: str, kept: bool) -> None:
    model = Answerer(network(name))
    expected = model.predict(opened(), Decoding(max_new_tokens=12))
    model.prefix_cache = PrefixCache(2**30) if kept else None
    texts, ended = folded(model.stream(opened(), Decoding(max_new_tokens=12)))
    assert isinstance(model, Streaming)
    for place, prediction in enumerate(expected):
        found = ended[place]
        assert "".join(texts.get(place, [])).strip() == found.text == prediction.text
        assert (found.id, found.finish) == (prediction.id, prediction.finish)
        assert found.usage.new_tokens == prediction.usage.new_tokens
        assert found.confidence.value == pytest.approx(prediction.confidence.value, abs=1e-4)


@pytest.mark.parametrize("decoding", [{"beams": 3}, {"temperature": 1.0}])
def test_beams_come_at_their_end_and_samples_as_they_are_drawn(decoding: dict[str, Any]) -> None:
    model, how = Answerer(network("llava")), Decoding(max_new_tokens=12, **decoding)
    expected = model.predict(opened(), how)
    texts, ended = folded(model.stream(opened(), how))
    assert [ended[place].text for place in range(len(expected))] == [p.text for p in expected]
    for place, prediction in enumerate(expected):
        assert "".join(texts.get(place, [])).strip() == prediction.text
        assert ("beams" not in decoding) or len(texts.get(place, [])) <= 1


def slowed(model: Answerer, seconds: float) -> list[int]:
    """Every forward pass takes so long, and no token ends an answer; the list grows with each."""
    steps: list[int] = []

    def wait(*_: object) -> None:
        steps.append(1)
        time.sleep(seconds)

    model.network.model.model.language_model.register_forward_pre_hook(wait)
    object.__setattr__(model.network, "stops", (0,))
    return steps


def test_closing_stops_before_the_next_token() -> None:
    model = Answerer(network("llava"))
    steps = slowed(model, 0.02)
    stream = model.stream(opened()[:1], Decoding(max_new_tokens=2000))
    place, text = next(stream)
    assert place == 0
    assert isinstance(text, str)
    started = time.perf_counter()
    stream.close()
    assert time.perf_counter() - started < 1
    done = len(steps)
    assert done < 500
    time.sleep(0.1)
    assert len(steps) == done  # nothing goes on behind our back
    assert not any(thread.name == "answering" for thread in threading.enumerate())
    assert model.predict(opened()[:1], Decoding(max_new_tokens=2))[0].text is not None


def test_one_answer_of_a_batch_is_cancelled_alone() -> None:
    model = Answerer(network("llava"))
    decoding = Decoding(max_new_tokens=12)
    expected = model.predict(opened(), decoding)
    long = [place for place, p in enumerate(expected) if p.usage.new_tokens > 6]
    assert long
    cut = long[0]
    seen: list[str] = []

    def pieces() -> Iterator[Piece]:
        for place, piece in model.stream(
            opened(), decoding, cancelled=lambda p: p == cut and bool(seen)
        ):
            if place == cut:
                seen.append(str(piece))
            yield place, piece

    texts, ended = folded(pieces())
    assert set(ended) == set(range(len(expected))) - {cut}
    assert expected[cut].text.startswith("".join(texts[cut]).strip())
    assert [ended[place].text for place in ended] == [expected[place].text for place in ended]


def test_what_fails_is_raised_where_it_is_iterated() -> None:
    model = Answerer(network("llava"))
    first = opened()[0]
    bare = Dialogue("bare", (type(first.turns[0])(first.question),), "g")
    with pytest.raises(ModelError, match=r"bare.*no picture"):
        list(model.stream([first, bare], Decoding()))
    long = Dialogue("long", first.turns, "g", context={"history": "cough " * 3000})
    with pytest.raises(ModelError, match="do not fit"):
        list(model.stream([long], Decoding()))


def test_who_does_not_listen_makes_the_work_wait() -> None:
    told: list[int] = []

    def work(put: Any, closed: Any) -> None:
        for number in range(1000):
            if closed():
                return
            put((0, str(number)))
            told.append(number)

    stream = iterated(work)
    assert next(stream) == (0, "0")
    time.sleep(0.3)
    assert len(told) < 300
    stream.close()
    assert [piece for _, piece in iterated(work)] == [str(n) for n in range(1000)]


class Bytes:
    """A tokenizer of bytes: a letter may take four tokens, as in byte-level vocabularies."""

    def __init__(self, tidies: bool = False) -> None:
        self.clean_up_tokenization_spaces = tidies

    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        text = bytes(tokens).decode("utf-8", errors="replace")
        if self.clean_up_tokenization_spaces:
            for mark in (".", ",", "?", "!"):
                text = text.replace(f" {mark}", mark)
            text = text.replace(" n't", "n't").replace(" do not", " don't")
        return text


@pytest.mark.parametrize(
    "text",
    [
        "  an ödem of 3 µm², 左肺 🫁 clear \n\n end  ",
        "plain",
        "",
        "   ",
        "a  b",
        "e\u0301 \U0001f9d1\u200d⚕️",
    ],
)
def test_letters_are_told_whole_and_once(text: str) -> None:
    tokens = list(text.encode())
    detokeniser, pieces = IncrementalDetokeniser(Bytes()), []
    for end in range(1, len(tokens) + 1):
        pieces.append(detokeniser.so_far(tokens[:end]))
        assert "\ufffd" not in pieces[-1]
    pieces.append(detokeniser.rest(tokens))
    assert "".join(pieces) == text.strip()


def test_a_broken_letter_at_the_end_is_told_with_the_rest() -> None:
    tokens = list("lung 🫁".encode())[:-1]
    detokeniser = IncrementalDetokeniser(Bytes())
    pieces = [detokeniser.so_far(tokens[:end]) for end in range(1, len(tokens) + 1)]
    assert "".join(pieces) == "lung"
    assert "".join([*pieces, detokeniser.rest(tokens)]) == bytes(tokens).decode(errors="replace")


def test_blanks_that_a_tokenizer_tidies_are_never_told() -> None:
    text = "no , we do not see it . is n't it clear ?"
    tokens, told = list(text.encode()), Bytes(tidies=True)
    detokeniser = IncrementalDetokeniser(told)
    pieces = [detokeniser.so_far(tokens[:end]) for end in range(1, len(tokens) + 1)]
    assert len([piece for piece in pieces if piece]) > 3
    assert "".join([*pieces, detokeniser.rest(tokens)]) == told.decode(tokens)
