"""The scores of next tokens under the guidance of concepts (DMMCS), as a logits processor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor

from vesalius.combine.concepts.words import ConceptWords, Vectors, penalty
from vesalius.language.script import words


class Guide:
    """What each dialogue's text should come near: names of concepts, and how near."""

    def __init__(
        self,
        tokenizer: Any,
        names: Sequence[Sequence[str]],
        wanted: Mapping[str, float],
        measure: ConceptWords,
    ) -> None:
        self._tokenizer, self._names = tokenizer, names
        self._wanted, self._measure = wanted, measure

    def at(self, start: int, alpha: float, candidates: int) -> Guidance:
        """The processor of replies that begin at place ``start`` of their rows."""
        return Guidance(self, start, alpha, candidates)

    def __len__(self) -> int:
        return len(self._names)

    def penalties(self, row: int, tokens: Sequence[int], new: Sequence[int]) -> Vectors:
        """The penalty of a reply as it stands, and with each of the ``new`` tokens (1 + n,)."""
        names = self._names[row]
        if not names:
            return np.zeros(1 + len(new), np.float32)
        texts = [self._text([*tokens, token]) for token in new]
        near = [
            self._measure.similarities(words(text), names) for text in (self._text(tokens), *texts)
        ]
        return np.array([penalty(one, names, self._wanted) for one in near], np.float32)

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text


class Guidance(LogitsProcessor):  # type: ignore[misc]
    """Takes alpha / (1 - alpha) times the penalty from the log-probability of each next token.

    That orders texts as ``(1 - alpha) log p - alpha penalty`` does, and leaves the scores log
    probabilities. Of each row the likeliest candidates are weighed; any other token counts as one
    that says nothing new.
    """

    def __init__(self, guide: Guide, start: int, alpha: float, candidates: int) -> None:
        self._guide, self._start, self._candidates = guide, start, candidates
        self._weight = alpha / (1 - alpha)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Log-probabilities (B x beams, V), those of the rows' candidates by what they add."""
        if self._weight == 0.0:
            return scores
        beams = len(input_ids) // len(self._guide)
        guided = torch.log_softmax(scores.float(), dim=-1)
        likeliest = guided.topk(min(self._candidates, guided.shape[1]), dim=1).indices
        for place, tokens in enumerate(input_ids[:, self._start :].tolist()):
            new = likeliest[place].tolist()
            here, *there = self._guide.penalties(place // beams, tokens, new).tolist()
            guided[place] -= self._weight * here
            gain = guided.new_tensor([here - one for one in there])
            guided[place, likeliest[place]] += self._weight * gain
        return guided.to(scores.dtype)  # type: ignore[return-value]
