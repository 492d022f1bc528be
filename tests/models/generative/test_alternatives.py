"""All beams of a model, and scores of its next tokens that are changed from outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import LogitsProcessor

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.build import build
from vesalius.recipe import Decoding

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    learner: Any = build({"name": "generative", "tiny": True, "family": "llava"})
    return learner.untuned()


@pytest.fixture(scope="module")
def asked(draw: Make, ask: Make) -> list[Dialogue]:
    return [
        ask("what is seen?", None, draw(f"p{n}", size=20 + 9 * n), case=f"c{n}") for n in (0, 1)
    ]


def test_the_best_beam_is_the_answer(model: Any, asked: list[Dialogue]) -> None:
    decoding = Decoding(beams=3, max_new_tokens=4)
    beams = model.alternatives(asked, decoding)
    assert [len(some) for some in beams] == [3, 3]
    assert [some[0].text for some in beams] == [p.text for p in model.predict(asked, decoding)]
    for dialogue, some in zip(asked, beams, strict=True):
        assert {one.id for one in some} == {dialogue.id}
        sures = [one.confidence.value for one in some]
        assert sures == sorted(sures, reverse=True)


def test_one_beam_has_no_alternatives(model: Any, asked: list[Dialogue]) -> None:
    with pytest.raises(ModelError, match=r"alternatives are beams.*decoding\.beams"):
        model.alternatives(asked, Decoding())


class Only(LogitsProcessor):
    """Every token but one is out of the question."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self.token] = 0.0
        return forced


def test_a_steered_model_is_another_and_the_model_stays(model: Any, asked: list[Dialogue]) -> None:
    before = [p.text for p in model.predict(asked, Decoding(max_new_tokens=3))]
    token = model.network.encoder.tokenizer("seen", add_special_tokens=False)["input_ids"][-1]

    def steer(dialogues: Sequence[Dialogue], start: int) -> list[LogitsProcessor]:
        assert start > 0
        assert {one.id for one in dialogues} <= {one.id for one in asked}
        return [Only(token)]

    answers = model.steered(steer).predict(asked, Decoding(max_new_tokens=3))
    assert len({p.text for p in answers}) == 1
    assert answers[0].text != before[0]
    assert [p.text for p in model.predict(asked, Decoding(max_new_tokens=3))] == before


@pytest.mark.parametrize("beams", [1, 3])
def test_confidence_is_the_models_own_however_it_is_steered(
    model: Any, asked: list[Dialogue], beams: int
) -> None:
    token = model.network.encoder.tokenizer("seen", add_special_tokens=False)["input_ids"][-1]
    decoding = Decoding(beams=beams, max_new_tokens=3)
    answers = model.steered(lambda *_: [Only(token)]).predict(asked, decoding)
    # The steering leaves one token, with the score of a probability of 1; drawn weights give it
    # about one in the size of the vocabulary.
    assert all(0.0 < one.confidence.value < 0.1 for one in answers)
