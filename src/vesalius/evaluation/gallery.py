"""Which cases a report shows, and their pictures as small inline images."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan

import numpy as np

from vesalius.cases.case import Answer, Box
from vesalius.cases.image import decode
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import View
from vesalius.errors import ImageError
from vesalius.evaluation.measuring import Spec, measure
from vesalius.evaluation.metrics import Array

Pictures = Callable[[str], bytes | None]
_EDGE = 320  # pixels of a thumbnail's longer edge
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture as a data URI, and the size in pixels of the picture it was made from."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ReportCase:
    """A case as the report shows it."""

    prediction: Prediction
    score: float
    picture: Thumbnail | None
    names: Mapping[str, str] = field(default_factory=dict)
    """What concepts are called."""

    @property
    def references(self) -> list[str]:
        """The reference answers in words."""
        return [in_words(self._named(answer)) for answer in self.prediction.references]

    @property
    def answer_text(self) -> str:
        """The model's answer in words."""
        return in_words(self._named(self.prediction.answer))

    def _named(self, answer: Answer) -> Answer:
        """The answer with its concepts by name, where they have one."""
        if answer.concepts is None or not self.names:
            return answer
        return replace(answer, concepts=tuple(self.names.get(c, c) for c in answer.concepts))

    def boxes(self) -> list[tuple[str, Box]]:
        """(``reference`` or ``answer``, box) for every box of both."""
        wanted = [("reference", box) for a in self.prediction.references for box in a.boxes or ()]
        return [*wanted, *(("answer", box) for box in self.prediction.answer.boxes or ())]


def row_scores(predictions: Sequence[Prediction], spec: Spec, score: str) -> tuple[str, Array]:
    """A score per prediction and its name: this one, or SQuAD F1 where it is a corpus score."""
    column = measure(predictions, [spec])[0].table.get(score)
    if column is not None and column.ndim == 1:
        return score, column
    return "squad.f1", measure(predictions, ["squad"])[0].table["squad.f1"]


def choose(
    predictions: Sequence[Prediction], scores: Array, *, each: int, seed: int
) -> dict[str, list[int]]:
    """Places of the best, the worst and some random cases, no picture twice in one of them.

    Among equals the most confident come first: a sure right answer, a sure wrong one. The random
    ones are drawn from all cases, those shown already included: else they would not be random.
    """
    known = [i for i, score in enumerate(scores.tolist()) if not isnan(score)]
    spread = [float(scores[i]) for i in known]
    low, high = (min(spread), max(spread)) if spread else (0.0, 0.0)

    def sure(i: int) -> float:
        confidence = predictions[i].confidence
        return 0.0 if confidence is None else confidence.value

    good = [i for i in known if scores[i] > low or low == high > 0]
    bad = [i for i in known if scores[i] < high or low == high <= 0]
    orders = {
        "best": sorted(good, key=lambda i: (-scores[i], -sure(i), predictions[i].id)),
        "worst": sorted(bad, key=lambda i: (scores[i], -sure(i), predictions[i].id)),
        "random": np.random.default_rng(seed).permutation(len(predictions)).tolist(),
    }
    return {name: distinct(order, predictions, each) for name, order in orders.items()}


def thumbnail(key: str | None, pictures: Pictures) -> Thumbnail | None:
    """The picture as a small JPEG; None where there is none or it cannot be read."""
    data = None if key is None else pictures(key)
    if data is None:
        return None
    try:
        image = decode(data, View.in_key(key or "")).image
    except ImageError as error:
        log.warning("no picture for %s: %s", key, error)
        return None
    width, height = image.size
    image.thumbnail((_EDGE, _EDGE))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=82)
    code = base64.b64encode(file.getvalue()).decode()
    return Thumbnail(f"data:image/jpeg;base64,{code}", width, height)


def in_words(answer: Answer) -> str:
    """The text of an answer, else its concepts, else how many boxes it has."""
    if answer.text is not None:
        return answer.text
    if answer.concepts is not None:
        return ", ".join(answer.concepts) or "no concepts"
    count = len(answer.boxes or ())
    return "no boxes" if count == 0 else f"{count} {'box' if count == 1 else 'boxes'}"


def distinct(order: Sequence[int], predictions: Sequence[Prediction], most: int) -> list[int]:
    """The first ``most`` places in that order, no picture twice."""
    places: list[int] = []
    seen: set[str] = set()
    for i in order:
        picture = predictions[i].picture or predictions[i].id
        if len(places) < most and picture not in seen:
            places.append(i)
            seen.add(picture)
    return places
