"""Concept detection: an F1 per image over predicted and annotated concepts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.settings import Frozen

MOST = 100  # the challenge refuses more concepts per image


class ConceptsF1(Frozen):
    """ImageCLEFmedical concept F1 in [0, 1], per image, averaged over images; both empty is 1.

    An image is measured where both the reference and the prediction hold concepts (an empty list
    included; an abstention has none). DatasetError names an image with more than 100 or with
    duplicates.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the score is made."""
        return ScoringProtocol(
            name="concepts_f1",
            implementation="vesalius, after the ImageCLEFmedical Caption scorer",
            normalisation="concept identifiers compared exactly",
            averaging="F1 over the union of both lists; mean over images; both empty = 1",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """F1, precision and recall, a row."""
        names = ("concepts.f1", "concepts.precision", "concepts.recall")
        return tabulate(names, predictions, _row)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights)


def _row(prediction: Prediction) -> tuple[float, float, float] | None:
    concepts = prediction.answer.concepts
    if concepts is None and prediction.abstained:
        concepts = ()
    wanted = next((r.concepts for r in prediction.references if r.concepts is not None), None)
    if concepts is None or wanted is None:
        return None
    if len(concepts) > MOST:
        raise DatasetError(f"{len(concepts)} concepts, {MOST} are allowed", where=prediction.id)
    if len(set(concepts)) < len(concepts):
        raise DatasetError("a concept is listed twice", where=prediction.id)
    if not concepts and not wanted:
        return 1.0, 1.0, 1.0
    same = len(set(concepts) & set(wanted))
    f1 = 2 * same / (len(concepts) + len(set(wanted)))
    return f1, same / len(concepts) if concepts else 0.0, same / len(set(wanted)) if wanted else 0.0
