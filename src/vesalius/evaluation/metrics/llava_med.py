"""LLaVA-Med's first evaluation script, faults included: only to compare with numbers made by it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import nan

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import UNREAD, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds, is_closed
from vesalius.language.script import is_latin
from vesalius.settings import Frozen

# The script's own lists (llava/eval/eval_metrics/glossary.py); its contractions are left out, they
# only turn "dont" into "don't" on both sides.
_MARKS = ';/[]"{}()=+\\_->@`,?!<'
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )
} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}
_NAMES = (
    "llava_med_v1.closed",
    "llava_med_v1.closed_as_published",
    "llava_med_v1.open_recall",
    "llava_med_v1.open_f1",
)


class LlavaMedV1(Frozen):
    """LLaVA-Med's first scores in [0, 1], bug-compatible.

    Closed: right when ``yes`` or ``no`` occurs anywhere as a substring and the reply contains the
    gold ("normal" contains "no"). The script moreover forgets a reply that says the wrong one of
    yes and no: ``..._as_published`` leaves those out of the denominator as it does. Open: recall
    and F1 count how often the reply repeats a word. Source: microsoft/LLaVA-Med, run_eval.py.

    A closed gold in another script, such as 是, is never right by this rule: it is not measured.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="llava_med_v1",
            implementation="vesalius, bug-compatible with LLaVA-Med run_eval.py",
            version="v1",
            normalisation="lower; punctuation, articles, number words as the script does",
            averaging="first gold; mean over closed, and over open questions",
            proportions=dict.fromkeys(_NAMES[:2], ""),
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a score; closed and open rows are measured by different ones."""
        flags = np.array([_is_unread(p) for p in predictions], dtype=np.float64)
        return {**tabulate(_NAMES, predictions, _row), UNREAD: flags}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)


def _is_unread(prediction: Prediction) -> bool:
    texts = golds(prediction)
    return bool(texts) and is_closed(prediction) and not is_latin(texts[0])


def _row(prediction: Prediction) -> tuple[float, ...] | None:
    texts = golds(prediction)
    if not texts or _is_unread(prediction):
        return None
    answer, gold = normalised(prediction.text), normalised(texts[0])
    if not is_closed(prediction):
        recall, f1 = _overlap(answer, gold)
        return nan, nan, recall, f1
    decided = "yes" in answer or "no" in answer
    right = decided and gold in answer
    forgotten = decided and not right
    return float(right), nan if forgotten else float(right), nan, nan


def normalised(text: str) -> str:
    """The script's ``normalize_word``, contractions aside."""
    text = bare = text.lower()
    thousands = re.search(r"\d,\d", text) is not None
    for mark in _MARKS:
        beside_space = f"{mark} " in text or f" {mark}" in text
        bare = bare.replace(mark, "" if beside_space or thousands else " ")
    # The script passes re.UNICODE (32) where re.sub takes a count.
    bare = re.sub(r"\.(?!\d)", "", bare, count=32)
    words = (_NUMBERS.get(word, word) for word in bare.split())
    return " ".join(word for word in words if word not in _ARTICLES)


def _overlap(answer: str, gold: str) -> tuple[float, float]:
    words, wanted = Counter(normalised(answer).split()), Counter(normalised(gold).split())
    hits = sum(count for word, count in words.items() if word in wanted)
    missed = sum(count for word, count in wanted.items() if word not in words)
    if not hits:
        return 0.0, 0.0
    precision, recall = hits / words.total(), hits / (hits + missed)
    return recall, 2 * precision * recall / (precision + recall)
