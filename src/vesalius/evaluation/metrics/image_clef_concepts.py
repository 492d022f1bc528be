"""The concept scores of ImageCLEFmedical Caption: all concepts, and those annotated by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.concepts import ConceptsF1
from vesalius.evaluation.metrics.image_clef_years import Year, manual_concepts
from vesalius.evaluation.metrics.image_table import cells, file_digest
from vesalius.evaluation.metrics.table import means
from vesalius.settings import Frozen

_PRIMARY, _SECONDARY = "image_clef.concepts_f1", "image_clef.concepts_f1_manual"


class ImageClefConcepts(Frozen):
    """Concept F1 (primary), and over concepts that were annotated by hand (secondary), in [0, 1].

    The primary score is ``concepts_f1``. The secondary one compares modalities and regions alone
    with the organisers' table of manual concepts; images that have none there are left out.
    """

    year: Year = 2026
    """Which year's protocol is told; the scores are the same in all."""
    manual: str | None = None
    """The table of manual concepts (``concepts_manual.csv``: ID, CUIs); null: not measured."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        reason = "the table of manual concepts is not named (manual=FILE)"
        return ScoringProtocol(
            name="image_clef_concepts",
            implementation="vesalius, after the organisers' concept evaluator",
            version=f"ImageCLEFmedical Caption {self.year}",
            parameters={
                "year": self.year,
                "manual": None if self.manual is None else file_digest(Path(self.manual)),
                "manual_concepts": len(manual_concepts()),
            },
            normalisation="concept identifiers in capitals; secondary: 15 modalities and regions",
            averaging="F1 over the union of both lists; mean over images; both empty = 1; "
            "secondary: images without a manual concept are left out",
            foremost=(_PRIMARY, _SECONDARY),
            absent={} if self.manual else {_SECONDARY: reason},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Both F1 scores, a row; DatasetError as of ``concepts_f1``, or of the manual table."""
        rows = [_capitals(p) for p in predictions]
        secondary = np.full(len(rows), np.nan)
        if self.manual is not None:
            lists = cells(Path(self.manual), ("CUIs",), predictions)["CUIs"]
            known = manual_concepts()
            for i, (row, text) in enumerate(zip(rows, lists, strict=True)):
                wanted = {one.strip().upper() for one in text.split(";")} & known
                answer = row.answer.concepts
                if wanted and (answer is not None or row.abstained):
                    own = set(answer or ()) & known
                    secondary[i] = 2 * len(own & wanted) / (len(own) + len(wanted))
        return {_PRIMARY: ConceptsF1().measure(rows)["concepts.f1"], _SECONDARY: secondary}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, (_PRIMARY, _SECONDARY))


def _capitals(prediction: Prediction) -> Prediction:
    references = tuple(_upper(one) for one in prediction.references)
    return replace(prediction, answer=_upper(prediction.answer), references=references)


def _upper(answer: Answer) -> Answer:
    if answer.concepts is None:
        return answer
    return replace(answer, concepts=tuple(one.upper() for one in answer.concepts))
