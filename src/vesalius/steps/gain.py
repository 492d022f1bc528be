"""Gain: whether a combined run helped, from its own rows and what it answers under controls."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vesalius.cases.prediction import Prediction
from vesalius.errors import DatasetError, NotComparable, RunError
from vesalius.evaluation import contrasts
from vesalius.evaluation.contrasts import CONTROLS, Control, Others
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.evaluation.gain import Gain
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.member_answers import rivals
from vesalius.evaluation.score import Evaluation, Score
from vesalius.run import Run, read_predictions
from vesalius.steps.controls import control_set
from vesalius.steps.systems import consensus, no_rival


def gain(
    run: Run,
    *,
    without: Path | str | None = None,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
) -> Gain | None:
    """Hold a run's answers against those of its members, their consensus, and its controls.

    Members are read from the run's rows and answer no question again; ``without`` is a run (or a
    file) that had no neighbours; the controls are the sets that ``predict`` made under them. None
    where nothing is combined or retrieved, or there is no reference. RunError where there are no
    predictions, NotComparable where members do not stand in every row or another run answers other
    questions.
    """
    settings = run.recipe().evaluation
    rows = list(run.predictions())
    others, apart = _others(run, rows, without)
    nothing = not others and not any(p.neighbours for p in rows)
    if nothing or not any(p.references for p in rows):
        return None
    drawn = settings.resamples if resamples is None else resamples
    found = contrasts.gain(
        rows, others, metrics or settings.metrics, Draws(drawn, settings.level, settings.seed)
    )
    missing = list(_missing(run, rows, others, found.copy))
    if not others and found.copy is None and not missing:
        return None
    notes = (*found.notes, *map(no_rival, apart), *_neighbours_of_other(others, without), *missing)
    return replace(found, notes=notes, inputs=inputs(run, without))


def with_gain(
    run: Run,
    evaluation: Evaluation,
    *,
    without: Path | str | None = None,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
) -> Evaluation:
    """The evaluation with what the combination gains; taken from it where it is of these inputs.

    Where its own members or controls cannot be held against it, that is told in its place: the
    run's scores are none the worse. What was named by ``without`` is refused.
    """
    own = inputs(run, without)
    stored = _stored(evaluation)
    if stored is not None and stored.inputs == own:
        return evaluation
    try:
        result = gain(run, without=without, metrics=metrics, resamples=resamples)
    except (NotComparable, DatasetError) as error:
        if without is not None:
            raise
        result = Gain("", (), (), notes=(f"it cannot be told: {error}",), inputs=own)
    return replace(evaluation, gain={} if result is None else result.to_json())


def gain_of(run: Run) -> Gain | None:
    """What a run gains: as its ``scores.json`` says, if that is of what is there, else anew.

    A run without neighbours that ``evaluate`` was given is believed as it was then.
    """
    evaluation = evaluate_run(run)
    stored = _stored(evaluation)
    if stored is not None:
        controls = {part: one for part, one in stored.inputs.items() if part != "without"}
        if controls == inputs(run):
            return stored
    return _stored(with_gain(run, replace(evaluation, gain={})))


def _stored(evaluation: Evaluation) -> Gain | None:
    """The gain that an evaluation holds; None where it has none that can be read."""
    if evaluation.gain:
        with suppress(RunError):
            return Gain.from_json(evaluation.gain)
    return None


def inputs(run: Run, without: Path | str | None = None) -> dict[str, str]:
    """What a gain is of beside the run's own answers: each file's hash, by its part in it."""
    files: dict[str, Path] = {
        control: file for control, file in _control_files(run).items() if file.exists()
    }
    if without is not None:
        files["without"] = _file(without)
    return {part: hashlib.sha256(file.read_bytes()).hexdigest() for part, file in files.items()}


def _others(
    run: Run, rows: Sequence[Prediction], without: Path | str | None
) -> tuple[Others, list[str]]:
    """What the run is held against, and the members that answer with something else."""
    members, apart = rivals(rows)
    agreed = consensus(list(members.values())) if len(members) > 1 else None
    if agreed is not None and all(a.answer == p.answer for a, p in zip(agreed, rows, strict=True)):
        agreed = None  # the run is the consensus: it is not held against itself
    others = Others(
        members=members,
        consensus=agreed,
        without=None if without is None else (Path(without).name, _predictions(without)),
        controls={
            control: list(read_predictions(file))
            for control, file in _control_files(run).items()
            if file.exists()
        },
    )
    return others, apart


def _neighbours_of_other(others: Others, without: Path | str | None) -> Iterator[str]:
    """That what should have no neighbours has some, where it does, and they are more than cited."""
    name, rows = others.without or ("", ())
    if without is not None and _cites_alone(Path(without)):
        return
    if count := sum(bool(p.neighbours) for p in rows):
        what = f"{count:,} of its {len(rows):,} answers have neighbours of their own"
        yield f"{name} was to have none: {what}"


def _cites_alone(place: Path) -> bool:
    """Whether it is a run whose ``retrieve`` cites cases beside answers that know none of them."""
    return (place / "recipe.yaml").exists() and Run.open(place).recipe().retrieve is not None


def _missing(
    run: Run, rows: Sequence[Prediction], others: Others, copy: Score | None
) -> Iterator[str]:
    """What was not measured of a run that answers from cases, and why.

    Cases that a recipe's ``retrieve`` cites beside an answer have no part in it: nothing is missing
    where no control could change an answer.
    """
    if run.recipe().retrieve is not None or not any(p.neighbours for p in rows):
        return
    if copy is None:
        yield "copy rate: not measured (no answer of four words beside a neighbour's text)"
    for control in CONTROLS:
        if control not in others.controls:
            command = f"vesalius predict --run {run.path} --control {control}"
            yield f"{control} neighbours: not measured ({command})"


def _control_files(run: Run) -> Mapping[Control, Path]:
    return {control: run.predictions_file(control_set(control)) for control in CONTROLS}


def _predictions(where: Path | str) -> list[Prediction]:
    rows = list(read_predictions(_file(where)))
    if not rows:
        raise RunError("has no predictions", where=where)
    return rows


def _file(where: Path | str) -> Path:
    """The file of a run's unnamed set, or the file itself; RunError if it is not there."""
    path = Path(where)
    file = Run.open(path).predictions_file() if path.is_dir() else path
    if not file.is_file():
        raise RunError("has no predictions", where=path, hint=f"vesalius predict --run {path}")
    return file
