"""BLEURT: a regressor fine-tuned on human ratings of text pairs, from weights in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import CUT, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means
from vesalius.evaluation.metrics.text_pairs import PairWeights, logits
from vesalius.evaluation.metrics.words import golds

_NAME = "bleurt"


class Bleurt(PairWeights):
    """BLEURT, about in [0, 1] and not bounded; not measured unless a folder with weights is named.

    The folder holds a checkpoint in transformers' form with one label (BLEURT-tiny, -base, -large);
    its name is part of the protocol, since each checkpoint is a score of its own. BLEURT-20 and its
    distilled forms have an architecture that transformers does not: they are refused by name.
    Source: Sellam et al., 2020.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made, or why it is not."""
        reason = self.absence("bleurt")
        return ScoringProtocol(
            name="bleurt",
            implementation="transformers sequence classifier",
            version=version("transformers"),
            parameters=self.described(),
            normalisation="none; pairs (reference, answer), cut at the model's length",
            averaging="maximum over references; mean over texts",
            absent={} if reason is None else {_NAME: reason},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The column ``bleurt``."""
        scores, cut = self.compare([p.text for p in predictions], [golds(p) for p in predictions])
        return {_NAME: scores, CUT: cut}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, (_NAME,))

    def compare(
        self, answers: Sequence[str], references: Sequence[Sequence[str]]
    ) -> tuple[Array, Array]:
        """The best over a text's references [n], NaN without any; and whether a text was cut."""
        scores, flags = np.full(len(answers), np.nan), np.zeros(len(answers))
        folder = self.folder()
        rows = [(i, gold) for i, group in enumerate(references) for gold in group]
        if folder is not None and rows:
            values, cut = logits(folder, 1, [(gold, answers[i]) for i, gold in rows])
            for (i, _), value, beyond in zip(rows, values[:, 0], cut, strict=True):
                scores[i] = np.fmax(scores[i], value)
                flags[i] = max(flags[i], beyond)
        return scores, flags
