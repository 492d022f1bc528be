"""AlignScore: whether what an answer claims is in the reference, from weights in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from vesalius.evaluation.metrics import Array, ScoringProtocol
from vesalius.evaluation.metrics.text_pairs import PairMetric, logits

_LABELS = 3
CHUNK = 350
"""Words of a reference that are read together, as the authors' ``nli_sp`` does; whole sentences."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])")


class AlignScore(PairMetric):
    """AlignScore in [0, 1]; not measured unless a folder with weights is named.

    Each sentence of the answer gets the highest probability of being aligned with a part of the
    reference, and the answer their mean. An empty answer scores 0, and 1 where the reference is
    empty, too. The folder holds the authors' RoBERTa with its head of three labels (aligned first)
    as a sequence classifier of transformers; with ``python``, an interpreter with alignscore,
    ``model`` is their checkpoint. Source: Zha et al., 2023.
    """

    name: ClassVar[str] = "align_score"
    package: ClassVar[str] = "alignscore"

    base: str = "roberta-large"
    """With ``python``: the model below the authors' checkpoint, in ``weights``."""

    def request(self) -> dict[str, Any]:
        """The checkpoint, and the model below it."""
        return {**super().request(), "base": self.base}

    def fixed(self, answer: str, reference: str) -> float | None:
        """What empty texts score, which are not sent."""
        if answer.strip() and reference.strip():
            return None
        return float(not answer.strip() and not reference.strip())

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made, or why it is not."""
        implementation, version = self.source("transformers sequence classifier, nli_sp")
        return ScoringProtocol(
            name=self.name,
            implementation=implementation,
            version=version,
            parameters={**self.described(), "reference_words": CHUNK},
            normalisation="none; sentences end at . ! ? before a capital or a digit",
            averaging="maximum over parts of the reference, mean over the answer's sentences; "
            "maximum over references; mean over texts",
            absent=self.absent(),
        )

    def compare(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[Array, Array]:
        """As :meth:`PairMetric.compare`."""
        scores, flags = np.full(len(answers), np.nan), np.zeros(len(answers))
        folder = self.folder()
        if folder is None:
            return scores, flags
        for i, (answer, group) in enumerate(zip(answers, references, strict=True)):
            for gold in group:
                value, cut = self.fixed(answer, gold), False
                if value is None:
                    claims, parts = sentences(answer), list(_parts(gold))
                    pairs = [(part, claim) for claim in claims for part in parts]
                    values, beyond = logits(folder, _LABELS, pairs)
                    aligned = _softmax(values)[:, 0].reshape(len(claims), len(parts))
                    value, cut = float(aligned.max(axis=1).mean()), bool(beyond.any())
                scores[i] = np.fmax(scores[i], value)
                flags[i] = max(flags[i], float(cut))
        return scores, flags


def sentences(text: str) -> list[str]:
    """The sentences of a text; "2.5 cm" and "e.g. the" end none."""
    return [part for part in _SENTENCE.split(text.strip()) if part]


def _parts(text: str) -> Iterator[str]:
    """Stretches of whole sentences of about ``CHUNK`` words each."""
    part: list[str] = []
    for sentence in sentences(text):
        if part and len(" ".join([*part, sentence]).split()) > CHUNK:
            yield " ".join(part)
            part = []
        part.append(sentence)
    if part:
        yield " ".join(part)


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    shares: Array = powers / powers.sum(axis=1, keepdims=True)
    return shares
