"""Answers about one picture that cannot all be true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.dialogue import apart, by_dialogue, is_turn
from vesalius.evaluation.metrics.table import mean, ratio, total
from vesalius.language.statements import claim, comparable, excludes
from vesalius.settings import Frozen

_PAIRS, _DIALOGUES = "contradictions.pairs", "contradictions.dialogues"


class Contradictions(Frozen):
    """How often two answers about one picture exclude each other, in [0, 1], right or wrong.

    Pairs are of closed answers in the wide sense: yes or no, one of a question's own alternatives,
    a number of things, or a modality, plane or contrast that the table knows. Two answers exclude
    each other where one affirms what the other denies (the same question, the same finding, "is
    this a CT?" beside the modality), where they name two values of which only one can hold (CT and
    MRI, T1 and T2, axial and coronal, normal and abnormal, a mass and no abnormality), or where
    they choose two alternatives of one question. A pair counts if *some* answers to its two
    questions would exclude each other, so the pairs counted do not depend on the answers; an answer
    that cannot be read contradicts nothing. ``contradictions.pairs``: of such pairs the share that
    does. ``contradictions.dialogues``: of dialogues that have such a pair the share with at least
    one contradiction. English, by rules that speak only where they are certain.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="contradictions",
            implementation="vesalius statements",
            version="1",
            parameters={"language": "en"},
            normalisation="exactly one of yes, no; values by the table of statements",
            averaging="over comparable pairs of answers about one case; over cases that have one",
            better={_PAIRS: "lower", _DIALOGUES: "lower"},
            unit="dialogue",
            proportions={_PAIRS: "", _DIALOGUES: ""},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Comparable and clashing pairs, at the later answer; at a case's last, any at all."""
        pairs = np.full((len(predictions), 2), np.nan)
        cases = np.full(len(predictions), np.nan)
        for places in by_dialogue(predictions).values():
            clashes = _pairs([p for p in places if is_turn(predictions[p])], predictions)
            for later, clash in clashes:
                pairs[later] = np.nan_to_num(pairs[later]) + np.array([1, clash])
            if clashes:
                cases[max(later for later, _ in clashes)] = any(clash for _, clash in clashes)
        return {
            _PAIRS: ratio(pairs[:, 1], pairs[:, 0]),
            _DIALOGUES: cases,
            "comparable": pairs[:, 0],
            "clashing": pairs[:, 1],
            **apart(predictions),
        }

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The share of pairs, and of dialogues."""
        clashing, pairs = total(table["clashing"], weights), total(table["comparable"], weights)
        return {_PAIRS: ratio(clashing, pairs), _DIALOGUES: mean(table[_DIALOGUES], weights)}


def _pairs(places: Sequence[int], predictions: Sequence[Prediction]) -> list[tuple[int, bool]]:
    """(place of the later answer, whether they exclude each other) for comparable pairs."""
    claims = {p: claim(q.question, q.text, q.options) for p in places if (q := predictions[p])}
    return [
        (max(a, b), excludes(claims[a], claims[b]) is not None)
        for a, b in combinations(places, 2)
        if _comparable(predictions[a], predictions[b])
    ]


def _comparable(a: Prediction, b: Prediction) -> bool:
    # Neither question says that the model answered in English; the rules can read nothing else.
    return a.language[:2] == b.language[:2] == "en" and comparable(
        a.question, b.question, a.options, b.options
    )
