"""A metric of one's own, and what it cannot see: ``python examples/own_metric.py``.

It counts how many of the reference's words an answer has. The built-in gallery changes one thing
at a time (a side, a number, a negation) and shows that such a metric hardly notices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.evaluation.metrics.words import golds
from vesalius.evaluation.self_test.verdicts import self_test
from vesalius.settings import Frozen

NAMES = ("word_recall",)


class WordRecall(Frozen):
    """The share, from 0 to 1, of the first reference's words that stand in the answer."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="word_recall",
            implementation="examples/own_metric.py",
            normalisation="lower case; split at blanks",
            averaging="mean over texts",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column for the score."""
        return tabulate(NAMES, predictions, recall)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The mean."""
        return means(table, weights, NAMES)


def recall(prediction: Prediction) -> tuple[float] | None:
    """Of one answer; None where there is no word to recall."""
    wanted = set(" ".join(golds(prediction)[:1]).lower().split())
    if not wanted:
        return None
    return (len(wanted & set(prediction.text.lower().split())) / len(wanted),)


def main() -> None:
    """Print a verdict a kind of change."""
    for row in self_test([WordRecall()]).overall():
        print(f"{row.kind:20} falls by {row.drop:.2f}: {row.verdict}")


if __name__ == "__main__":
    main()
