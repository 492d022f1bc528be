"""Claim: what a run was to show, recorded when it is fitted, checked when it has answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, RunError, UnknownName
from vesalius.evaluation.claims import Verdict, outcome
from vesalius.evaluation.compare import Comparison, compare
from vesalius.evaluation.differences import Difference, Draws
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.prediction_sets import prediction_sets
from vesalius.evaluation.reliance import NAME as IMAGE_RELIANCE
from vesalius.evaluation.reliance import reliance_difference
from vesalius.evaluation.run_results import primary_score
from vesalius.recipe import Claim
from vesalius.run import Run, read_predictions
from vesalius.settings import validated

NOTED = "claims"
BLANK = "blank"
"""The set of answers to pictures that show nothing, by which image reliance is measured."""


def note_claims(run: Run, claims: Sequence[Claim]) -> None:
    """Record in a run each claim that it has not yet, with its hash and the time.

    One that is new once predictions are there is marked: it was made with the answers at hand. A
    claim that was stated stays, whatever a later recipe leaves out.
    """
    noted = run.status().get(NOTED, [])
    there = {entry["sha256"] for entry in noted}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    late = any(run.path.glob("predictions*.jsonl"))
    new = [
        {
            "claim": claim.model_dump(mode="json"),
            "sha256": claim.digest,
            "stated": now,
            "post_hoc": late,
        }
        for claim in dict.fromkeys(claims)
        if claim.digest not in there
    ]
    if new:
        run.note(**{NOTED: [*noted, *new]})


def check_claims(run: Run) -> list[Verdict]:
    """What became of each claim of a run, as they were stated; none where it states none.

    RunError where what the run notes of them was changed by other hands.
    """
    return [_verdict(run, entry) for entry in run.status().get(NOTED, [])]


def _verdict(run: Run, entry: Mapping[str, Any]) -> Verdict:
    claim = validated(Claim, entry["claim"], where=f"{run.path}: a claim in status.json")
    if claim.digest != entry["sha256"]:
        what = f"the claim on {claim.metric} is not the one that was stated"
        raise RunError(what, where=run.path / "status.json", hint="its hash is another")
    when = (str(entry["stated"]), bool(entry["post_hoc"]))
    try:
        difference, better = _measured(run, claim)
    except (NotComparable, RunError, UnknownName) as error:
        return Verdict(claim, "not measured", *when, reason=str(error))
    if better == "neither" and not claim.equal_to:
        reason = "neither more nor less of it is better: say equal_to"
        return Verdict(claim, "not measured", *when, reason=reason)
    return Verdict(claim, outcome(claim, difference, better), *when, difference=difference)


def _measured(run: Run, claim: Claim) -> tuple[Difference, str]:
    """The claim's difference, and which way is better."""
    if claim.metric == IMAGE_RELIANCE:
        return _reliance(run, claim), "higher"
    comparison = _compared(run, claim)
    difference = _difference(comparison, claim.metric)
    better = comparison.protocols[difference.protocol]["better"].get(claim.metric, "higher")
    return difference, str(better)


def _reliance(run: Run, claim: Claim) -> Difference:
    """Of the run's primary score, with blank pictures or those that ``on`` names."""
    if Path(claim.against).is_file():
        what = "image reliance is held against a run: a file holds no answers to changed pictures"
        raise RunError(what, where=claim.against)
    settings = run.recipe().evaluation
    spec, primary = primary_score(run, evaluate_run(run))
    draws = Draws(settings.resamples, settings.level, settings.seed)
    sides = [
        (_answers(path, ""), _answers(path, claim.on or BLANK))
        for path in (Path(claim.against), run.path)
    ]
    difference = reliance_difference(sides[0], sides[1], spec, primary.metric, draws)
    if not difference.measured:
        raise NotComparable("one of both does not beat a constant answer, or nothing was measured")
    return difference


def _difference(comparison: Comparison, metric: str) -> Difference:
    """A score's difference; UnknownName where there is none, NotComparable if not measured."""
    by_name = {d.metric: d for d in comparison.overall()}
    if metric not in by_name:
        raise UnknownName("score", metric, by_name)
    if not by_name[metric].measured:
        raise NotComparable("nothing was measured in both")
    return by_name[metric]


def _compared(run: Run, claim: Claim) -> Comparison:
    settings = run.recipe().evaluation
    return compare(
        _answers(Path(claim.against), claim.on),
        _answers(run.path, claim.on),
        list(_specs(claim.metric, settings.metrics)),
        resamples=settings.resamples,
        level=settings.level,
        seed=settings.seed,
        by=(),
    )


def _answers(path: Path, name: str) -> list[Prediction]:
    """A run's set of predictions, or those of a file."""
    if path.is_file():
        return list(read_predictions(path))
    run = Run.open(path)
    if not run.predictions_file(name).exists():
        known = ", ".join(one or "those without a name" for one in prediction_sets(run))
        what = (
            f"has no predictions called {name!r}" if name else "has no predictions without a name"
        )
        raise RunError(f"{what}; it has {known}", where=path)
    return list(run.predictions(name))


def _specs(metric: str, own: Sequence[Spec]) -> Iterator[Spec]:
    """The recipe's metrics that give a score of this name; else the one its first part names."""
    first = metric.partition(".")[0]
    named = [spec for spec in own if (spec if isinstance(spec, str) else next(iter(spec))) == first]
    yield from named or [first]
