"""Answers as labels: every label counts alike, however rare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import coded, ratio
from vesalius.evaluation.metrics.words import golds, squad
from vesalius.settings import Frozen


class LabelF1(Frozen):
    """F1 in [0, 1], a mean over labels; a label is a first reference, as SQuAD v2 normalises it.

    Equal to scikit-learn's ``f1_score(average="macro", labels=the references')``, but that a label
    which no drawn row wants or gives is left out. What is answered beside the references' labels is
    wrong, and no label of its own. Accuracy hides what this shows: always giving the commonest
    answer scores its share of the questions there, and one label in all here.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="label_f1",
            implementation="vesalius, equal to scikit-learn's macro F1",
            normalisation="as SQuAD v2; first reference",
            averaging="F1 by label over questions; mean over the references' labels",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Codes of the wanted and the given label, a row; the given one's NaN is no label."""
        wanted = [[squad(texts[0])] if (texts := golds(p)) else [] for p in predictions]
        codes, names = coded(wanted)
        index = {name: float(i) for i, name in enumerate(names)}
        other = float(len(names))
        given = [
            index.get(squad(p.text), other) if texts else np.nan
            for p, texts in zip(predictions, wanted, strict=True)
        ]
        return {"label_f1.macro": codes[:, 0], "given": np.array(given, dtype=np.float64)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean over labels under each row of weights."""
        wanted, given = table["label_f1.macro"], table["given"]
        known = ~np.isnan(wanted)
        labels, want = np.unique(wanted[known], return_inverse=True)
        places = len(labels) + 1
        among = np.isin(given[known], labels)
        give = np.where(among, np.searchsorted(labels, given[known]), len(labels))
        drawn = weights[:, known]
        totals = _by_label(drawn, want, places) + _by_label(drawn, give, places)
        both = _by_label(drawn * (want == give), want, places)
        f1 = ratio(2 * both[:, :-1], totals[:, :-1])
        present = (~np.isnan(f1)).sum(axis=1).astype(np.float64)
        return {"label_f1.macro": ratio(np.nan_to_num(f1).sum(axis=1), present)}


def _by_label(weights: Array, labels: NDArray[np.int64], count: int) -> Array:
    """The weights [B, n] added up by label: [B, count]."""
    rows = np.arange(len(weights))[:, None] * count
    sums = np.bincount((rows + labels).ravel(), weights.ravel(), minlength=len(weights) * count)
    return sums.reshape(len(weights), count).astype(np.float64)
