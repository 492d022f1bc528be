"""A run's prediction sets, and how a set falls into groups and slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.score import ALL
from vesalius.run import Run

ABSENT = frozenset({"nan", "NaN", "NAN", "None", "NULL", "null", "<NA>", "NaT", "undefined"})
SLICES = ("category", "modality", "kind", "dataset")


def prediction_sets(run: Run) -> list[str]:
    """The names of a run's prediction sets, the unnamed one first; RunError if it has none."""
    names = {
        p.stem.removeprefix("predictions").removeprefix("-")
        for p in run.path.glob("predictions*.jsonl")
    }
    if not names:
        raise RunError(
            "has no predictions", where=run.path, hint=f"vesalius predict --run {run.path}"
        )
    return sorted(names)


def group_of(prediction: Prediction) -> str:
    """The unit of resampling: the patient or image group, else the image, else the case."""
    return prediction.group or prediction.picture or prediction.case or prediction.id


def refuse_duplicates(predictions: Sequence[Prediction]) -> None:
    """RunError names an id that appears twice: it would be counted twice."""
    for name, times in Counter(p.id for p in predictions).items():
        if times > 1:
            raise RunError(f"the id {name!r} appears {times} times", hint="keep one row per id")


def slices(predictions: Sequence[Prediction], by: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """``all`` and each ``field=value``, with a mask [n] of the predictions that belong to it."""
    yield ALL, np.ones(len(predictions), dtype=bool)
    for name in by:
        values = [getattr(p, name) for p in predictions]
        known = sorted({str(value) for value in values if value is not None})
        if len(known) < 2 and None not in values:
            continue  # one slice that holds everything says nothing new
        for value in known:
            yield f"{name}={value}", np.array([v is not None and str(v) == value for v in values])


def facts(predictions: Sequence[Prediction]) -> dict[str, int]:
    """What a reader must know of the predictions beside their scores."""
    return {
        "predictions": len(predictions),
        "groups": len({group_of(p) for p in predictions}),
        "abstained": sum(p.abstained for p in predictions),
        "empty": sum(p.answer.text is not None and not p.text.strip() for p in predictions),
        "cut_at_limit": sum(p.finish == "length" for p in predictions),
        "without_reference": sum(not p.references for p in predictions),
        "no_words": sum(_is_absent(p.answer) for p in predictions),
        "no_words_in_references": sum(any(map(_is_absent, p.references)) for p in predictions),
    }


def _is_absent(answer: Answer) -> bool:
    """Whether the text is what a program writes where there was none; "none" is an answer."""
    return answer.text is not None and answer.text.strip() in ABSENT
