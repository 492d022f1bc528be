"""BLEURT: a regressor fine-tuned on human ratings of text pairs, from weights in a folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from vesalius.evaluation.metrics import Array, ScoringProtocol
from vesalius.evaluation.metrics.text_pairs import PairMetric, logits


class Bleurt(PairMetric):
    """BLEURT, about in [0, 1] and not bounded; not measured unless a folder with weights is named.

    The folder holds a checkpoint in transformers' form with one label (BLEURT-tiny, -base, -large);
    its name is part of the protocol, since each checkpoint is a score of its own. BLEURT-20 and its
    distilled forms have an architecture that transformers does not: ``python`` names an interpreter
    with bleurt-pytorch, which reads them.
    Source: Sellam et al., 2020.
    """

    name: ClassVar[str] = "bleurt"
    package: ClassVar[str] = "bleurt-pytorch"

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made, or why it is not."""
        implementation, version = self.source("transformers sequence classifier")
        return ScoringProtocol(
            name=self.name,
            implementation=implementation,
            version=version,
            parameters=self.described(),
            normalisation="none; pairs (reference, answer), cut at the model's length",
            averaging="maximum over references; mean over texts",
            absent=self.absent(),
        )

    def compare(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[Array, Array]:
        """As :meth:`PairMetric.compare`."""
        scores, flags = np.full(len(answers), np.nan), np.zeros(len(answers))
        folder = self.folder()
        rows = [(i, gold) for i, group in enumerate(references) for gold in group]
        if folder is not None and rows:
            values, cut = logits(folder, 1, [(gold, answers[i]) for i, gold in rows])
            for (i, _), value, beyond in zip(rows, values[:, 0], cut, strict=True):
                scores[i] = np.fmax(scores[i], value)
                flags[i] = max(flags[i], beyond)
        return scores, flags
