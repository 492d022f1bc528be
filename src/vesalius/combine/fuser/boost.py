"""Candidates' words made likelier while a language model writes: fusion without training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LogitsProcessor

from vesalius.cases.dialogue import Dialogue
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.generate import Steering
from vesalius.models.sentences import SentenceEncoder

Embed = Callable[[list[str]], NDArray[np.float32]]
"""Texts -> unit vectors (n, width)."""


def boosting(writer: Answerer, words: Mapping[str, Sequence[str]], bonus: float) -> Steering:
    """What makes the candidates' words likelier: ``words`` by dialogue id, one text a candidate."""
    network = writer.network

    def steer(dialogues: Sequence[Dialogue], start: int) -> Sequence[LogitsProcessor]:
        return [
            Boost(
                network.encoder.tokenizer,
                [words[dialogue.id] for dialogue in dialogues],
                start=start,
                end=network.stops[0],
                bonus=bonus,
                embed=_sentences().embed_once,
            )
        ]

    return steer


@cache
def _sentences() -> SentenceEncoder:
    return SentenceEncoder("minilm")


class Boost(LogitsProcessor):  # type: ignore[misc]
    """Adds a bonus to the scores of the candidates' words that are not written yet.

    For each candidate of a row, a word's token gets ``bonus`` times the cosine similarity (at least
    0) of the text so far with the candidate, in sentence vectors; 1 while nothing is written. Of
    several candidates the largest bonus counts. The end token gets it times the share of the
    candidate's tokens that are written, so that a text ends when it says what a candidate says.
    """

    def __init__(
        self,
        tokenizer: Any,
        candidates: Sequence[Sequence[str]],
        *,
        start: int,
        end: int,
        bonus: float,
        embed: Embed,
    ) -> None:
        self._tokenizer, self._start, self._end = tokenizer, start, end
        self._bonus, self._embed = bonus, embed
        self._tokens = [[self._counts(text) for text in texts] for texts in candidates]
        self._openings = [[self._opening(text) for text in texts] for texts in candidates]
        flat = [text for texts in candidates for text in texts]
        vectors = iter(embed(flat)) if flat else iter(())
        self._vectors = [[next(vectors) for _ in texts] for texts in candidates]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores (B x beams, V) with the bonus."""
        beams = len(input_ids) // len(self._tokens)
        written = [ids[self._start :] for ids in input_ids.tolist()]
        likeness = self._likeness(written, beams)
        raised = scores.clone()
        for place, tokens in enumerate(written):
            bonus = self._bonuses(place // beams, tokens, likeness[place])
            if bonus:
                index = torch.tensor(list(bonus), device=scores.device)
                values = torch.tensor(list(bonus.values()), device=scores.device)
                raised[place, index] += values.to(scores.dtype)
        return raised  # type: ignore[return-value]

    def _likeness(self, written: Sequence[list[int]], beams: int) -> list[list[float]]:
        """For each row, how alike its text is to each of its candidates, in [0, 1]."""
        texts = [self._tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in written]
        some = [text for text in texts if text]
        known = dict(zip(some, self._embed(some), strict=True)) if some else {}
        return [
            [
                max(0.0, float(vector @ known[text])) if text else 1.0
                for vector in self._vectors[place // beams]
            ]
            for place, text in enumerate(texts)
        ]

    def _bonuses(self, row: int, tokens: list[int], alike: list[float]) -> dict[int, float]:
        """Token -> what is added to its score."""
        bonus: dict[int, float] = {}
        for number, (counts, similarity) in enumerate(zip(self._tokens[row], alike, strict=True)):
            opening, first = self._openings[row][number]
            used = Counter(first if at == 0 and t == opening else t for at, t in enumerate(tokens))
            share = (counts & used).total() / counts.total()
            left = dict.fromkeys(counts - used, 1.0) | {self._end: share}
            if not tokens:
                left[opening] = 1.0
            for token, weight in left.items():
                value = self._bonus * similarity * weight
                bonus[token] = max(bonus.get(token, 0.0), value)
        return bonus

    def _counts(self, text: str) -> Counter[int]:
        """A candidate's tokens, written as in the middle of a text."""
        return Counter(self._ids(f" {text}"))

    def _opening(self, text: str) -> tuple[int, int]:
        """A candidate's first token at the beginning of a text, and in the middle of one."""
        return self._ids(text)[0], self._ids(f" {text}")[0]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
