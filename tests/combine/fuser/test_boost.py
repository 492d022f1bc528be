"""The words of candidates made likelier while a language model writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vesalius.combine.fuser.boost import Boost
from vesalius.models.generative.text.tokenizer import train_tokenizer

TEXTS = ["a mass in the lung", "a cyst in the liver", "no mass"]
END = "</s>"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    special = {"eos_token": END, "pad_token": "<pad>"}
    return train_tokenizer(TEXTS, vocabulary=400, special=special, extra=(), chat_template=None)


def embed(texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A word's vector is its axis: texts are as alike as the words that they share."""
    words = sorted({word for text in TEXTS for word in text.split()})
    counts = np.array([[text.split().count(w) for w in words] for text in texts], np.float32)
    norms = np.linalg.norm(counts, axis=1, keepdims=True)
    return counts / np.maximum(norms, 1e-9)


def boosted(
    tokenizer: Any, candidates: list[list[str]], written: list[str], bonus: float = 2.0
) -> torch.Tensor:
    processor = Boost(
        tokenizer,
        candidates,
        start=0,
        end=tokenizer.eos_token_id,
        bonus=bonus,
        embed=embed,
    )
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in written]
    length = {len(row) for row in rows}
    assert len(length) == 1
    ids = torch.tensor(rows, dtype=torch.long).reshape(len(rows), length.pop())
    return processor(ids, torch.zeros(len(rows), len(tokenizer)))  # type: ignore[arg-type]


def ids(tokenizer: Any, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def test_at_the_beginning_every_word_of_every_candidate_has_the_whole_bonus(tokenizer: Any) -> None:
    scores = boosted(tokenizer, [["no mass", "a cyst"]], [""])[0]
    raised = set(ids(tokenizer, " no mass")) | set(ids(tokenizer, " a cyst"))
    raised |= {ids(tokenizer, "no mass")[0], ids(tokenizer, "a cyst")[0]}
    assert {at for at, score in enumerate(scores.tolist()) if score} == raised
    assert {scores[at].item() for at in raised} == {2.0}


def test_a_word_counts_by_how_alike_the_text_is_to_its_candidate(tokenizer: Any) -> None:
    # "a mass" shares two words with "a mass in the lung": cosine 2 / (sqrt 2 x sqrt 5) = .6325;
    # one with "a cyst in the liver": 1 / (sqrt 2 x sqrt 5) = .3162.
    scores = boosted(tokenizer, [["a mass in the lung", "a cyst in the liver"]], [" a mass"])[0]
    (lung,), (liver,) = (set(ids(tokenizer, f" {word}")[-1:]) for word in ("lung", "liver"))
    assert scores[lung].item() == pytest.approx(2 * 0.6325, abs=1e-3)
    assert scores[liver].item() == pytest.approx(2 * 0.3162, abs=1e-3)
    (shared,) = ids(tokenizer, " in")
    assert scores[shared].item() == scores[lung].item()  # the larger of two counts


def test_a_word_that_is_written_is_not_wanted_again(tokenizer: Any) -> None:
    scores = boosted(tokenizer, [["no mass"]], [" no"])[0]
    assert scores[ids(tokenizer, " no")[0]].item() == 0.0
    assert scores[ids(tokenizer, " mass")[0]].item() > 0.0


def test_a_first_word_is_written_once_whatever_stands_before_it(tokenizer: Any) -> None:
    scores = boosted(tokenizer, [["no mass"]], ["no"])[0]  # without the blank of a later word
    assert scores[ids(tokenizer, " no")[0]].item() == 0.0
    assert scores[ids(tokenizer, " mass")[0]].item() > 0.0


def test_a_text_ends_when_it_says_what_a_candidate_says(tokenizer: Any) -> None:
    begun = boosted(tokenizer, [["no mass"]], [" no"])[0]
    whole = boosted(tokenizer, [["no mass"]], [" no mass"])[0]
    share = len(ids(tokenizer, " no")) / len(ids(tokenizer, " no mass"))
    assert begun[tokenizer.eos_token_id].item() == pytest.approx(2 * share * 2**-0.5, abs=1e-3)
    assert whole[tokenizer.eos_token_id].item() == pytest.approx(2.0)
    assert whole.count_nonzero() == 1


def test_each_row_and_each_of_its_beams_has_its_own_candidates(tokenizer: Any) -> None:
    texts = [" no", " no", " a", " a"]  # two rows of two beams
    scores = boosted(tokenizer, [["no mass"], []], texts)
    assert torch.equal(scores[0], scores[1])
    assert scores[0].count_nonzero() > 0
    assert scores[2:].count_nonzero() == 0  # no candidates, nothing changes


def test_without_a_bonus_the_model_writes_as_it_is(tokenizer: Any) -> None:
    assert boosted(tokenizer, [["no mass"]], [" no"], bonus=0.0).count_nonzero() == 0
