"""Questions on presence as POPE scores them: what "yes" is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import UNREAD, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import ratio, tabulate, total
from vesalius.evaluation.metrics.words import golds
from vesalius.language.questions import is_polar, polarity
from vesalius.language.script import is_latin
from vesalius.settings import Frozen

_NAMES = ("accuracy", "precision", "recall", "f1", "yes_rate")


class Pope(Frozen):
    """Accuracy, precision, recall and F1 of "yes", and how often it is said, in [0, 1].

    Over questions whose reference is yes or no. ``strict`` reads a reply as ``closed`` does: one
    that says both or neither is no yes, and never right. ``published`` reads it as POPE's script:
    the first sentence, commas dropped; "No", "no" or "not" among its words is no, all else yes
    (an empty reply and "Nope" as well). Source: Li et al., Evaluating Object Hallucination, 2023.
    """

    reading: Literal["strict", "published"] = "strict"

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        published = self.reading == "published"
        return ScoringProtocol(
            name="pope",
            implementation="vesalius, as POPE's evaluate.py" if published else "vesalius",
            parameters={"reading": self.reading},
            normalisation="first sentence; no, not: no; else yes"
            if published
            else "NFKC; exactly one of yes, no",
            averaging="over questions with a reference of yes or no; yes is the positive",
            better={self._name("yes_rate"): "neither"},
            proportions={self._name("accuracy"): "", self._name("yes_rate"): ""},
            foremost=(self._name("f1"),),
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Right, said yes, wanted yes and both, a row."""
        names = (self._name("accuracy"), self._name("yes_rate"), "wanted", "both")
        unread = [float(self._is_unread(p)) for p in predictions]
        return {**tabulate(names, predictions, self._row), UNREAD: np.array(unread)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The five under each row of weights; precision where yes was said, recall where wanted."""
        accuracy, rate = table[self._name("accuracy")], table[self._name("yes_rate")]
        n = total((~np.isnan(rate)).astype(np.float64), weights)
        replied, wanted, both = (total(c, weights) for c in (rate, table["wanted"], table["both"]))
        values = (
            ratio(total(accuracy, weights), n),
            ratio(both, replied),
            ratio(both, wanted),
            ratio(2 * both, replied + wanted),
            ratio(replied, n),
        )
        return {self._name(name): value for name, value in zip(_NAMES, values, strict=True)}

    def _name(self, score: str) -> str:
        return f"pope.{score}" + ("_as_published" if self.reading == "published" else "")

    def _is_unread(self, prediction: Prediction) -> bool:
        """Whether the published reading would take a reference in another script for a yes."""
        texts = golds(prediction)
        return bool(texts) and self.reading == "published" and not is_latin(texts[0])

    def _row(self, prediction: Prediction) -> tuple[float, ...] | None:
        texts = golds(prediction)
        if not texts or not is_polar(texts[0]) or self._is_unread(prediction):
            return None
        read = _published if self.reading == "published" else polarity
        reply = read(prediction.text)
        wanted = polarity(texts[0]) == "yes"
        right = reply == ("yes" if wanted else "no")
        yes = reply == "yes"
        return float(right), float(yes), float(wanted), float(yes and wanted)


def _published(text: str) -> str:
    """``yes`` or ``no`` as the script reads a reply."""
    replied = text.split(".", maxsplit=1)[0].replace(",", "").split(" ")
    return "no" if {"No", "not", "no"} & set(replied) else "yes"
