"""What a judge's lines add up to, with what must not be left out beside its grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import SCALES, Rating
from vesalius.errors import RunError
from vesalius.evaluation.judging.experts import Checked, checked, expert_axis
from vesalius.evaluation.judging.judgements import RATER, Judgement, Judgements
from vesalius.evaluation.metrics.table import ratio
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.rated_systems import ratings_of
from vesalius.evaluation.stats import Array, bootstrap, clusters, interval
from vesalius.run import Run
from vesalius.system.files import read_json, write_json

UNCHECKED = (
    "No expert has checked this judge on these answers: its grades are a model's opinion, and may "
    "be biased in any direction."
)
RESAMPLES = 2000
POSITION = "order-dependent"


@dataclass(frozen=True, slots=True)
class JudgeScore:
    """A mean over the answers that were measured, with its interval over whole groups."""

    name: str
    value: float
    low: float
    high: float
    n: int
    scale: str = ""


@dataclass(frozen=True, slots=True)
class JudgeResults:
    """One judge of one run: its scores, what it did not measure, what experts say of it."""

    name: str
    identity: Mapping[str, Any]
    n: int
    unmeasured: Mapping[str, int]
    scores: Sequence[JudgeScore]
    errors: Mapping[str, int] = field(default_factory=dict)
    checked: Sequence[Checked] = ()
    stale: bool = False

    @property
    def subject(self) -> str:
        """What was judged by: a rubric, or the other run of a pair."""
        against = self.identity.get("against")
        return f"rubric {self.identity.get('rubric')}" if against is None else f"against {against}"

    @property
    def warnings(self) -> list[str]:
        """What its scores must not be read without, the gravest first."""
        return list(_warnings(self))


def judge_results(run: Run) -> list[JudgeResults]:
    """What every judge of a run says, by name."""
    every = Judgements.of(run)
    predictions = list(run.predictions()) if every else []
    return [results(one, predictions) for one in every]


def results(judgements: Judgements, predictions: Iterable[Prediction]) -> JudgeResults:
    """A judge's results; ``predictions`` say which answers belong together.

    RunError where a line is of no answer of the run.
    """
    groups = {one.id: group_of(one) for one in predictions}
    of_pairs = judgements.paired
    lines: list[Any] = list(judgements.preferences() if of_pairs else judgements.judgements())
    for one in lines:
        if one.id not in groups:
            raise RunError(f"judges an answer {one.id!r} that is not there", where=judgements.file)
    codes = clusters([groups[one.id] for one in lines])
    axes = judgements.identity.get("axes", ())
    columns = _preferred(lines) if of_pairs else _graded(lines, axes)
    scores = [_score(name, np.array(values), codes) for name, values in columns.items()]
    table, stale = _checks(judgements)
    return JudgeResults(
        judgements.name,
        judgements.identity,
        len(lines),
        dict(Counter(one.unmeasured for one in lines if one.unmeasured).most_common()),
        [*scores, *(score for one in table for score in _by_experts(one))],
        {} if of_pairs else dict(Counter(e for one in lines for e in one.rating.errors)),
        table,
        stale,
    )


def check_against_experts(
    judgements: Judgements, predictions: Iterable[Prediction], ratings: Sequence[Rating]
) -> list[Checked]:
    """Hold a judge's grades against experts' ratings, and write what they say beside them.

    RunError where none of the ratings is of these answers, where they rated too few of them, or no
    axis of the judge's.
    """
    if judgements.paired:
        raise RunError(
            "experts grade answers, and this judge compares pairs", where=judgements.name
        )
    if machines := sorted({one.rater for one in ratings if one.rater.startswith(RATER)}):
        raise RunError(f"{machines[0]} is a judge, and no expert", where=judgements.name)
    # An adjudicator saw what the raters said: that is no further expert's grade beside theirs.
    ratings = [one for one in ratings_of(judgements.run, ratings) if not one.adjudication]
    groups = {one.id: group_of(one) for one in predictions}
    if not any(one.prediction in groups for one in ratings):
        what = f"none of the {len(ratings)} ratings is of an answer of this run"
        raise RunError(what, where=judgements.run.path, hint="are they of another run?")
    grades: dict[str, dict[str, float]] = {}
    for line in judgements.judgements():
        for axis, grade in line.rating.axes.items():
            grades.setdefault(axis, {})[line.id] = float(grade)
    axes = [axis for axis in grades if expert_axis(axis, ratings) is not None]
    if not axes:
        theirs = ", ".join(sorted({name for one in ratings for name in one.axes})) or "nothing"
        what = f"the judge grades {', '.join(grades) or 'nothing'}, the experts {theirs}"
        raise RunError(what, where=judgements.run.path, hint="judge by another --rubric")
    rows = [checked(axis, grades[axis], groups, ratings) for axis in axes]
    content = {"judgements": judgements.digest(), "axes": [row.to_json() for row in rows]}
    write_json(judgements.experts_file, content)
    return rows


def _graded(lines: Sequence[Judgement], axes: Sequence[str]) -> dict[str, list[float]]:
    """A column an axis, NaN where it was not measured."""
    columns = {axis: [float(one.rating.axes.get(axis, np.nan)) for one in lines] for axis in axes}
    weights = [np.nan if one.weight is None else one.weight for one in lines]
    return columns if np.isnan(weights).all() else columns | {"weighted errors": weights}


def _preferred(lines: Sequence[Any]) -> dict[str, list[float]]:
    """Shares of the pairs that were measured: who is preferred, and how often the order decides."""
    winners = [one.winner for one in lines]
    shares = {
        f"{who} preferred" if who != "tie" else "tie": [
            np.nan if winner is None else float(winner == who) for winner in winners
        ]
        for who in ("run", "against", "tie")
    }
    places = [np.nan if one.winner is None else float(one.position is not None) for one in lines]
    return shares | {POSITION: places}


def _score(name: str, values: Array, codes: Any) -> JudgeScore:
    measured = ~np.isnan(values)
    filled = np.where(measured, values, 0.0)

    def mean(weights: Array) -> dict[str, Array]:
        return {name: ratio(weights @ filled, weights @ measured)}

    value = float(mean(np.ones((1, len(values))))[name][0])
    draws = bootstrap(mean, codes, RESAMPLES)
    low, high = interval(draws.get(name, np.zeros(0)))  # nothing was judged: nothing is drawn
    scale = SCALES.get(name)
    bounds = "" if scale is None else f"{scale[0]} to {scale[-1]}"
    return JudgeScore(name, value, low, high, int(measured.sum()), bounds)


def _by_experts(one: Checked) -> Iterable[JudgeScore]:
    """The mean on the experts' scale: with the judge's help, and by their own grades alone."""
    scale = SCALES[one.expert_axis]
    bounds = f"{scale[0]} to {scale[-1]}"
    name = f"{one.expert_axis} as experts grade it"
    counts = f"{name}, the judge calibrated and counting {one.tuning:.2f}"
    yield JudgeScore(counts, one.value, one.low, one.high, one.judged, bounds)
    yield JudgeScore(f"{name}, without the judge", *one.alone, one.n, bounds)


def _checks(judgements: Judgements) -> tuple[list[Checked], bool]:
    """What experts said of these very judgements; whether they were held against others."""
    if not judgements.experts_file.exists():
        return [], False
    content = read_json(judgements.experts_file)
    if content["judgements"] != judgements.digest():
        return [], True
    return [Checked.from_json(row) for row in content["axes"]], False


def _warnings(one: JudgeResults) -> Iterable[str]:
    if not one.checked:
        yield UNCHECKED
    if one.stale:
        yield "Experts' ratings were held against other judgements than these: do it again."
    if kin := one.identity.get("kin"):
        yield f"The judge {kin}: models favour answers like their own."
    if one.identity.get("random_weights"):
        yield "The judge's weights are random."
    if not one.identity.get("pictures"):
        yield "The judge saw no picture: it compared words with words."
    if lost := sum(one.unmeasured.values()):
        reasons = ", ".join(f"{reason} {count}" for reason, count in one.unmeasured.items())
        yield f"{lost} of {one.n} ({lost / one.n:.0%}) are not measured: {reasons}."
