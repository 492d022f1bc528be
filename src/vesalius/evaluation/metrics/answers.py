"""Answers to questions: SQuAD v2 exact match and token F1, and VQA soft accuracy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import coded, majority, means, tabulate
from vesalius.evaluation.metrics.words import golds, squad
from vesalius.language.script import segments
from vesalius.settings import Frozen


class Squad(Frozen):
    """SQuAD v2 exact match and token F1 in [0, 1], the maximum over the golds.

    ``squad.majority_em`` is what always saying the most frequent reference would score.
    Source: Rajpurkar et al., 2018.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="squad",
            implementation="vesalius, after the official SQuAD v2 script",
            normalisation=(
                "NFKC; lower; punctuation deleted; a, an, the dropped; spaces collapsed; for F1 "
                "each character of a script without spaces is a word (as MLQA)"
            ),
            averaging="maximum over golds; mean over questions",
            better={"squad.majority_em": "neither"},
            proportions={"squad.em": "", "squad.majority_em": ""},
            baselines=("squad.majority_em",),
            beside={"squad.em": "squad.majority_em"},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Columns ``squad.em`` and ``squad.f1``, and the codes [n, k] of the golds."""
        table = tabulate(("squad.em", "squad.f1"), predictions, _best)
        codes, _ = coded([list(map(squad, golds(p))) for p in predictions])
        return {**table, "golds": codes}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Means of both, and the majority baseline."""
        baseline = majority(table["golds"], weights)
        return {
            **means(table, weights, ("squad.em", "squad.f1")),
            "squad.majority_em": baseline,
        }


class VqaSoft(Frozen):
    """VQA soft accuracy in [0, 1]: an answer is right as far as three annotators gave it.

    Averaged over the annotators left out one by one. It needs several annotators: DatasetError
    where a question has one. Source: Antol et al., 2015.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="vqa_soft",
            implementation="vesalius, after Antol et al. 2015",
            normalisation="as SQuAD v2 (not the challenge's table of contractions)",
            averaging="min(agreeing annotators / 3, 1), each annotator left out once; mean",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The column ``vqa_soft``."""
        return tabulate(("vqa_soft",), predictions, _soft)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights)


def _best(prediction: Prediction) -> tuple[float, float] | None:
    answer = squad(prediction.text)
    pairs = [
        (float(answer == gold), token_f1(answer, gold)) for gold in map(squad, golds(prediction))
    ]
    if not pairs:
        return None
    return max(em for em, _ in pairs), max(f1 for _, f1 in pairs)


def token_f1(answer: str, gold: str) -> float:
    """F1 over the counted words of two normalised texts; if either is empty, 1 iff both are.

    In scripts without spaces each character is a word.
    """
    words, wanted = segments(answer), segments(gold)
    if not words or not wanted:
        return float(words == wanted)
    same = (Counter(words) & Counter(wanted)).total()
    return 2 * same / (len(words) + len(wanted))


def _soft(prediction: Prediction) -> tuple[float] | None:
    annotators = [squad(text) for text in golds(prediction)]
    if not annotators:
        return None
    if len(annotators) < 2:
        raise DatasetError(
            "VQA soft accuracy needs several annotators and this question has one",
            where=prediction.id,
            hint="use squad or closed",
        )
    answer = squad(prediction.text)
    agree = [text == answer for text in annotators]
    left_out = (min((sum(agree) - own) / 3, 1.0) for own in agree)
    return (sum(left_out) / len(agree),)
