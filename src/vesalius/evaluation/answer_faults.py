"""Where models that never saw an answer contradict it with confidence: answers that may be wrong.

After confident learning (C. G. Northcutt, L. Jiang and I. L. Chuang, JAIR 70, 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
MARGIN = 0.5
"""By how much another label's probability must exceed the given one's."""
LEAST = 5
"""Rows of a label below which its probabilities are not believed."""


class Doubt(NamedTuple):
    """The rows in doubt, the most suspect first, and the label that each should rather have.

    ``margin``: by how much more probable that one is, in [0, 1]; ``judged``: the rows that can be.
    """

    rows: NDArray[np.intp]
    rather: NDArray[np.intp]
    margin: Array
    judged: NDArray[np.intp]


def answer_faults(probabilities: Array, given: NDArray[np.intp], tellable: float) -> Doubt:
    """Labels [rows] that out-of-fold probabilities [rows, labels] contradict.

    A label is believed of a row where its probability reaches that label's own mean over the rows
    that have it. A row is in doubt where another label is believed, and more probable by
    ``MARGIN`` than the given one. Only labels that the models can tell, with a recall and precision
    of ``tellable`` in at least ``LEAST`` rows, are doubted or preferred: what they cannot see they
    cannot contradict.
    """
    told = _tellable(probabilities, given, tellable)
    judged = np.flatnonzero(told[given])
    if not len(judged):
        return Doubt(judged, judged, np.zeros(0), judged)
    likely, own = probabilities[judged], given[judged]
    usual = np.full(len(told), np.inf)
    for label in np.flatnonzero(told):
        usual[label] = likely[own == label, label].mean()
    here = np.arange(len(judged))
    others = np.where(likely >= usual, likely, -1.0)
    others[here, own] = -1.0
    rather = others.argmax(axis=1)
    margin = others[here, rather] - likely[here, own]
    order = np.argsort(-margin, kind="stable")
    order = order[margin[order] >= MARGIN]
    return Doubt(judged[order], rather[order], margin[order], judged)


def _tellable(probabilities: Array, given: NDArray[np.intp], least: float) -> NDArray[np.bool_]:
    """Which labels [labels] the models find where they are, and mostly there."""
    labels = probabilities.shape[1]
    best = probabilities.argmax(axis=1)
    count = np.bincount(given, minlength=labels)
    right = np.bincount(given[best == given], minlength=labels)
    recall = right / np.maximum(count, 1)
    precision = right / np.maximum(np.bincount(best, minlength=labels), 1)
    both: NDArray[np.bool_] = np.minimum(recall, precision) >= least
    return both & (count >= LEAST)
