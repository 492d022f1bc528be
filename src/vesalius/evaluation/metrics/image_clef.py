"""The caption scores of ImageCLEFmedical Caption by year, with its normalisation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, isfinite, nan
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import model_validator
from rouge_score.rouge_scorer import RougeScorer

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError
from vesalius.evaluation.metrics import CUT, UNREAD, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.align_score import AlignScore
from vesalius.evaluation.metrics.bertscore import Encoder
from vesalius.evaluation.metrics.bleu import BleuCoco
from vesalius.evaluation.metrics.bleurt import Bleurt
from vesalius.evaluation.metrics.cider import CiderD
from vesalius.evaluation.metrics.image_clef_years import Component, Year, YearScores, year_scores
from vesalius.evaluation.metrics.image_table import cells, file_digest, image_table
from vesalius.evaluation.metrics.meteor import MeteorExactStem
from vesalius.evaluation.metrics.table import means, unread
from vesalius.evaluation.metrics.words import english, golds, image_clef
from vesalius.language.script import is_latin

OFFICIAL = ("microsoft/deberta-xlarge-mnli", 40)
ELSEWHERE: tuple[Component, ...] = ("similarity", "concept_f1", "bleurt", "align_score")
"""What a file of values may hold: it needs weights or a licence that do not come with Vesalius."""
_LACKING: Mapping[Component, str] = {
    "similarity": "pictures are not in predictions (a column of values=FILE)",
    "concept_f1": "MedCAT's concepts need a UMLS licence (a column of values=FILE)",
    "bleurt": "no weights are named (bleurt=FOLDER, or a column of values=FILE)",
    "align_score": "no weights are named (align_score=FOLDER, or a column of values=FILE)",
}
_BY_ENTRY: Mapping[Component, tuple[Any, str]] = {
    "bleu1": (BleuCoco, "bleu_coco"),
    "meteor_exact_stem": (MeteorExactStem, "meteor_exact_stem"),
    "cider_d": (CiderD, "cider_d"),
}
"""Components that are other metrics on normalised texts, and their columns."""
_RANGES = {"similarity": (-1.0, 1.0), "bleurt": (-inf, inf)}
_SIMILARITY_SCALE = 2.5
_PREFIX = "image_clef."


class ImageClefCaption(Encoder):
    """The caption scores of ImageCLEFmedical Caption, those of ``year``.

    2023 and 2024: BERTScore F1 (primary) and ROUGE-1 F (secondary), and beside them BLEURT, BLEU-1,
    METEOR (exact and stem matches) and CIDEr-D. 2025: ``relevance`` (primary) is the mean of
    BERTScore recall with idf, ROUGE-1 and image-text similarity, ``factuality`` (secondary) that of
    the F1 of concepts extracted from the captions and AlignScore. 2026: relevance is the mean of
    BERTScore F1 with idf, ROUGE-1, similarity and BLEURT. A mean is measured where all its
    components are, never over fewer; what is not measured says why. The challenge uses
    ``microsoft/deberta-xlarge-mnli`` (layer 40): with another encoder the protocol says that the
    number is not the challenge's. Its normalisation hides numbers and the T1/T2 difference: show
    ``caption_facts`` beside it.
    """

    year: Year = 2024
    """Whose scores: 2023 to 2026."""
    bleurt: str | None = None
    """A folder with BLEURT's weights, as of the metric ``bleurt``."""
    align_score: str | None = None
    """A folder with AlignScore's weights, as of the metric ``align_score``."""
    values: str | None = None
    """A CSV file of what was measured elsewhere, a row an image: ``ID``, and any of ``similarity``
    (the cosine of image and caption), ``concept_f1``, ``bleurt``, ``align_score``."""
    skip: tuple[Component, ...] = ()
    """Components to leave out; a mean of which one is a part is then not measured."""

    @model_validator(mode="after")
    def _of_the_year(self) -> Self:
        others = [name for name in self.skip if name not in self.scores.components]
        if others:
            raise ValueError(f"{others[0]} is no component of {self.year}'s scores")
        return self

    @property
    def scores(self) -> YearScores:
        """What that year's scores are made of."""
        return year_scores(self.year)

    @property
    def names(self) -> tuple[str, ...]:
        """All scores: the primary one, the secondary one, then the components."""
        return tuple(_PREFIX + name for name in [*self.scores.groups, *self.scores.components])

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made, and which are not and why."""
        official = self.model == OFFICIAL[0] and self.layer in {None, OFFICIAL[1]}
        return ScoringProtocol(
            name="image_clef_caption",
            implementation="bert-score, rouge-score and components by name",
            version=f"ImageCLEFmedical Caption {self.year}",
            parameters={
                "year": self.year,
                "official_encoder": official,
                **self._encoder().described(),
                "means": {name: list(parts) for name, parts in self.scores.groups.items()},
                "values": None if self.values is None else file_digest(Path(self.values)),
                "source": self.scores.source,
            },
            normalisation="NFKC; lower; digit runs to 'number'; punctuation deleted; AlignScore on "
            "the texts as they are",
            averaging="maximum over references; both empty = 1 (BLEURT and similarity excepted); "
            "mean over captions; a mean of components where all are measured",
            foremost=tuple(_PREFIX + name for name in self.scores.leading),
            absent={_PREFIX + name: reason for name, reason in self._absent().items()},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a mean and a component; of BLEU-1 the corpus's statistics."""
        absent, elsewhere = self._absent(), self._elsewhere()
        columns: dict[str, Array] = {}
        flags = {UNREAD: unread(predictions, is_latin)[UNREAD], CUT: np.zeros(len(predictions))}
        for name in self.scores.components:
            if name in absent:
                columns[name] = np.full(len(predictions), np.nan)
            elif name in elsewhere:
                columns[name] = self._values(name, predictions)
            else:
                columns[name], counts = self._column(name, predictions)
                flags = {k: np.maximum(v, counts.get(k, v)) for k, v in flags.items()}
        groups = {
            group: np.mean([columns[part] for part in parts], axis=0)
            for group, parts in self.scores.groups.items()
        }
        return {_PREFIX + name: values for name, values in (groups | columns).items()} | flags

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means; BLEU-1 is that of the drawn corpus."""
        bleu = _PREFIX + "bleu1"
        rows = [name for name in self.names if table[name].ndim == 1]
        scores = means(table, weights, rows)
        if bleu in self.names and bleu not in rows:
            scores[bleu] = BleuCoco().aggregate({"bleu_coco": table[bleu]}, weights)["bleu_coco.1"]
        return {name: scores[name] for name in self.names}

    def _column(
        self, name: Component, predictions: Sequence[Prediction]
    ) -> tuple[Array, Mapping[str, Array]]:
        """A component's column [n] and what it counts."""
        plain = [_normalised(p) for p in predictions]
        answers, wanted = [p.text for p in plain], [golds(p) for p in plain]
        if name in _BY_ENTRY:
            entry, column = _BY_ENTRY[name]
            own = entry().measure(plain)
            return own[column], own
        if name == "rouge1":
            return _rouge1(answers, wanted), {}
        if name == "bleurt":
            values, cut = Bleurt(model=self.bleurt).compare(answers, wanted)
            return values, {CUT: cut}
        if name == "align_score":
            raw = [p.text for p in predictions], [golds(p) for p in predictions]
            values, cut = AlignScore(model=self.align_score).compare(*raw)
            return values, {CUT: cut}
        scores, flags = self._encoder().compare(answers, wanted)
        values = scores[:, 1 if name == "bertscore_recall" else 2]
        return _ones_where_both_are_empty(values, answers, wanted), flags

    def _encoder(self) -> Encoder:
        fields = {name: getattr(self, name) for name in Encoder.model_fields}
        return Encoder(**{**fields, "idf": self.idf or self.scores.idf})

    def _absent(self) -> dict[str, str]:
        """Why a component, or a mean that it is a part of, is not measured."""
        folders = {"bleurt": self.bleurt, "align_score": self.align_score}
        here = {*self._elsewhere(), *(name for name, folder in folders.items() if folder)}
        lacking: dict[str, str] = {k: v for k, v in _LACKING.items() if k not in here}
        encoder = self.absence()
        if encoder is not None:
            lacking |= dict.fromkeys(("bertscore_f1", "bertscore_recall"), encoder)
        lacking |= dict.fromkeys(self.skip, "skipped")
        reasons: dict[str, str] = {
            name: lacking[name] for name in self.scores.components if name in lacking
        }
        absent = dict(reasons)
        for group, parts in self.scores.groups.items():
            names = ", ".join(part for part in parts if part in reasons)
            if names:
                absent[group] = f"the mean has parts that are not measured: {names}"
        return absent

    def _elsewhere(self) -> tuple[Component, ...]:
        """The components of the year that the file of values has a column for."""
        if self.values is None:
            return ()
        columns = next(iter(image_table(Path(self.values), ELSEWHERE).values()), {})
        return tuple(name for name in self.scores.components if name in columns)

    def _values(self, name: Component, predictions: Sequence[Prediction]) -> Array:
        """A column of the file of values; DatasetError for what is no number of its range."""
        path = Path(self.values or "")
        texts = cells(path, ELSEWHERE, predictions)[name]
        column = np.array([_number(t, name, path, i) for i, t in enumerate(texts, start=1)])
        if name == "similarity":
            silent = np.array([not p.text.strip() for p in predictions], dtype=bool)
            column = np.where(silent, 0.0, _SIMILARITY_SCALE * np.maximum(column, 0.0))
        column[[i for i, p in enumerate(predictions) if not golds(p)]] = np.nan
        return column


def _number(text: str, name: str, path: Path, prediction: int) -> float:
    low, high = _RANGES.get(name, (0.0, 1.0))
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not (isfinite(value) and low <= value <= high):
        what = f"{name} of prediction {prediction}'s image is no number from {low:g} to {high:g}"
        raise DatasetError(what, where=path)
    return value


def _normalised(prediction: Prediction) -> Prediction:
    references = tuple(Answer(image_clef(gold)) for gold in golds(prediction))
    return replace(prediction, answer=Answer(image_clef(prediction.text)), references=references)


def _rouge1(answers: Sequence[str], wanted: Sequence[Sequence[str]]) -> Array:
    scorer = RougeScorer(["rouge1"], use_stemmer=False)
    column = np.full(len(answers), np.nan)
    for i, (text, references) in enumerate(zip(answers, wanted, strict=True)):
        if references and all(map(is_latin, references)):
            texts = [english(reference) for reference in references]
            column[i] = scorer.score_multi(texts, english(text))["rouge1"].fmeasure
    return _ones_where_both_are_empty(column, answers, wanted)


def _ones_where_both_are_empty(
    column: Array, answers: Sequence[str], wanted: Sequence[Sequence[str]]
) -> Array:
    for i, (answer, references) in enumerate(zip(answers, wanted, strict=True)):
        if not answer and "" in references:
            column[i] = 1.0
    return column
