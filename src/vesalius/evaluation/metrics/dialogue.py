"""Turns right by dialogue: how much of what was asked about one picture was answered rightly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import APART, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.closed import closed_right
from vesalius.evaluation.metrics.table import mean, ratio, total
from vesalius.evaluation.metrics.words import golds, is_closed, squad
from vesalius.settings import Frozen

_ALL = "dialogue.all_right"


class TurnsByDialogue(Frozen):
    """The share of a dialogue's turns that are right, and of dialogues right throughout, in [0, 1].

    Each dialogue counts alike, however many turns it has; its turns are the answers of one case. A
    closed question is right as ``closed`` reads it, any other where it equals a reference as SQuAD
    v2 normalises. Summaries are no turns here.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="dialogue",
            implementation="vesalius turns by dialogue",
            version="1",
            normalisation="closed: the strict closed parser; open: SQuAD v2 exact match",
            averaging="over the turns of a dialogue, then over dialogues",
            unit="dialogue",
            proportions={"dialogue.right": "", _ALL: ""},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Right or not, the row's share of its dialogue, and on its last row whether all were."""
        rows = np.full((len(predictions), 3), np.nan)
        for places in by_dialogue(predictions).values():
            scored = [at for at in places if golds(predictions[at]) and is_turn(predictions[at])]
            right = [float(_right(predictions[at])) for at in scored]
            for at, value in zip(scored, right, strict=True):
                rows[at, :2] = value, 1 / len(scored)
            if scored:
                rows[scored[-1], 2] = min(right)
        columns = {"dialogue.right": rows[:, 0], "share": rows[:, 1], _ALL: rows[:, 2]}
        return {**columns, **apart(predictions)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Both means over dialogues."""
        right, share = table["dialogue.right"], table["share"]
        return {
            "dialogue.right": ratio(total(right * share, weights), total(share, weights)),
            _ALL: mean(table[_ALL], weights),
        }


def by_dialogue(predictions: Sequence[Prediction]) -> dict[str, list[int]]:
    """The places of the answers about each case, else picture.

    An answer that names neither is in no dialogue: a patient has many pictures.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, prediction in enumerate(predictions):
        about = prediction.case or prediction.picture
        if about:
            places[about].append(place)
    return dict(places)


def apart(predictions: Sequence[Prediction]) -> dict[str, Array]:
    """The column that counts answers in no dialogue, for they name neither case nor picture."""
    flags = [bool(p.references) and not (p.case or p.picture) for p in predictions]
    return {APART: np.array(flags, dtype=np.float64)}


def is_turn(prediction: Prediction) -> bool:
    """Whether the answer is to a question about the picture, not the summary of the dialogue."""
    return prediction.category != "summary"


def _right(prediction: Prediction) -> bool:
    if is_closed(prediction):
        return closed_right(prediction)
    answer = squad(prediction.text)
    return any(answer == squad(gold) for gold in golds(prediction))
