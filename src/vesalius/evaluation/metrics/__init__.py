"""Scores by name. An entry says what it measured and how, so that no score travels without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.prediction import Prediction
from vesalius.registry import Registry

Array = NDArray[np.float64]
Table = Mapping[str, Array]
Better = Literal["higher", "lower", "neither"]
Role = Literal["headline", "calibration"]
Unit = Literal["row", "dialogue", "corpus"]

UNREAD, CUT, APART, OUTSIDE = "unread", "cut", "apart", "outside"
COUNTS = (UNREAD, CUT, APART, OUTSIDE)
"""Columns [n] of 0 and 1 that count rows: their references hold words that the metric cannot read,
so they are not measured; a text was cut at the metric's limit; the row belongs to no dialogue; its
modality is none that the metric is valid for."""

_HERE = "vesalius.evaluation.metrics"

metrics = Registry(
    "metric",
    {
        "align_score": f"{_HERE}.align_score:AlignScore",
        "bertscore": f"{_HERE}.bertscore:BertScore",
        "bleu": f"{_HERE}.bleu:Bleu",
        "bleu_sentence": f"{_HERE}.bleu:BleuSentence",
        "bleu_coco": f"{_HERE}.bleu:BleuCoco",
        "bleurt": f"{_HERE}.bleurt:Bleurt",
        "calibration": f"{_HERE}.confidence:Calibration",
        "caption_facts": f"{_HERE}.caption_facts:CaptionFacts",
        "chexbert": f"{_HERE}.clinical:CheXbert",
        "cider_d": f"{_HERE}.cider:CiderD",
        "closed": f"{_HERE}.closed:Closed",
        "concepts_f1": f"{_HERE}.concepts:ConceptsF1",
        "content": f"{_HERE}.content:Content",
        "contradictions": f"{_HERE}.contradictions:Contradictions",
        "copy_rate": f"{_HERE}.copying:CopyRate",
        "crimson": f"{_HERE}.clinical:Crimson",
        "detection": f"{_HERE}.detection:Detection",
        "dialogue": f"{_HERE}.dialogue:TurnsByDialogue",
        "green": f"{_HERE}.clinical:Green",
        "image_clef_caption": f"{_HERE}.image_clef:ImageClefCaption",
        "image_clef_concepts": f"{_HERE}.image_clef_concepts:ImageClefConcepts",
        "label_f1": f"{_HERE}.labels:LabelF1",
        "label_space": f"{_HERE}.label_space:LabelSpace",
        "length": f"{_HERE}.length:Length",
        "llava_med_v1": f"{_HERE}.llava_med:LlavaMedV1",
        "localisation": f"{_HERE}.localisation:Localisation",
        "meteor_exact_stem": f"{_HERE}.meteor:MeteorExactStem",
        "pope": f"{_HERE}.pope:Pope",
        "radgraph": f"{_HERE}.clinical:RadGraph",
        "ratescore": f"{_HERE}.clinical:RaTEScore",
        "rouge": f"{_HERE}.rouge:Rouge",
        "squad": f"{_HERE}.answers:Squad",
        "tolerant": f"{_HERE}.rouge:Tolerant",
        "vqa_soft": f"{_HERE}.answers:VqaSoft",
    },
)


@dataclass(frozen=True, slots=True)
class ScoringProtocol:
    """What stands behind a score: without it, two numbers of one name are not comparable.

    ``normalisation`` says what is done to both texts before they meet, ``averaging`` what is
    averaged over what. ``better`` lists the scores for which higher is not better, ``baselines``
    those that depend on the references alone, whatever was answered, and ``beside`` which of them
    stands beside a score. ``role``: whether the scores are about the answers or about how sure they
    are. ``proportions``: the scores that are shares of trials, each right or wrong, and the column
    by whose classes such a score is averaged ("" where it is not): for them alone a Wilson interval
    holds. ``unit``: what is scored, a row, all turns of a dialogue (a slice of turns has no such
    score), or the corpus. ``foremost``: the scores that stand for all in a table with room for few
    (none named: the first). ``absent``: the scores that are not measured here, whatever was
    answered, and why: weights that are not here. ``needs``: what is lacking where a score could not
    be measured ("no negatives").
    """

    name: str
    implementation: str
    normalisation: str
    averaging: str
    version: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    better: Mapping[str, Better] = field(default_factory=dict)
    baselines: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    role: Role = "headline"
    unit: Unit = "row"
    proportions: Mapping[str, str] = field(default_factory=dict)
    foremost: tuple[str, ...] = ()
    absent: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The protocol as JSON-ready data."""
        lists = {"baselines": list(self.baselines), "foremost": list(self.foremost)}
        return asdict(self) | lists

    def __str__(self) -> str:
        chosen = ", ".join(f"{k}={v}" for k, v in self.parameters.items())
        source = f"{self.implementation} {self.version}".strip()
        parts = (source, chosen, self.normalisation, self.averaging)
        return "; ".join(part for part in parts if part)


class Metric(Protocol):
    """A score in two steps, so that an interval needs no second look at any text.

    ``measure`` gives a row per prediction: named columns of shape [n] or [n, k] that hold
    sufficient statistics, NaN where there was nothing to measure. A column's width and coding
    depend on the references only, so that the tables of two systems can be stacked.
    ``aggregate`` folds the rows under ``weights`` of shape [B, n] (how often each row was drawn)
    into scores of shape [B]; NaN where no measured row was drawn. A score is counted over the
    rows of the column of its own name, else of the table's first column. What belongs to the
    corpus (document frequencies, the majority class) is fixed by the table, never resampled. The
    columns of ``COUNTS`` say of which rows a reader must be told.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Sufficient statistics, a row per prediction."""

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Scores, one value per row of ``weights``."""
