"""Ablate: what a combination loses without some of its members, none of them asked again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.combine.fuser.candidates import Stored
from vesalius.errors import RunError
from vesalius.evaluation import table as side_by_side
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.member_answers import member_predictions
from vesalius.evaluation.table import System, Table
from vesalius.models.build import build
from vesalius.recipe import RUN, Recipe, Reference
from vesalius.run import Run
from vesalius.steps.check import check
from vesalius.steps.fit import Taught, fit_stage, member_answers
from vesalius.steps.members import FOLDER, note_references, referenced
from vesalius.steps.predict import predict
from vesalius.steps.systems import remarks_of

SUBSETS = "subsets"


def ablate(
    run: Run,
    *,
    least: int = 2,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
) -> Table:
    """A fitted combination beside itself over each smaller set of at least ``least`` members.

    Members are neither fitted nor asked again: what they answered to a split stands in the run's
    predictions, and what a wrapper learns from in its members' folds. A wrapper that learns
    is fitted anew for each set, from the same answers, with the same settings and seed. Each set is
    a run in ``RUN/subsets/A+B``, and what was fitted or answered is not done again. The differences
    are to the whole, paired. RunError where nothing was predicted or no smaller set is left.
    """
    answers = _test_answers(run)
    sets = list(subsets(list(answers), least))
    if not sets:
        what = f"has {len(answers)} members: there is no smaller set of at least {least}"
        raise RunError(what, where=run.path, hint="lower --least")
    checked = check(run.recipe(), run.path)
    taught = member_answers(checked)
    rows = [System(run.name, list(run.predictions()), remarks_of(run))]
    split = run.status().get("predictions", {}).get("test", {}).get("split")
    limit = len(rows[0].predictions)
    for names in sets:
        part = _subset(run, names)
        ready = replace(checked.last, recipe=part.recipe(), learner=build(part.recipe().model))
        fit_stage(ready, part, Taught(*(_only(one, names) for one in taught)))
        members = {key: Stored.of(answers[key]) for key in names}
        learner: Any = ready.learner
        predict(part, model=learner.load(part, members=members), split=split, limit=limit)
        rows.append(System("+".join(names), list(part.predictions()), rows[0].remarks))
    settings = run.recipe().evaluation
    number = settings.resamples if resamples is None else resamples
    draws = Draws(number, settings.level, settings.seed)
    return side_by_side.table(rows, metrics or settings.metrics, baseline=run.name, draws=draws)


def subsets(members: Sequence[str], least: int) -> Iterator[tuple[str, ...]]:
    """Every set of at least ``least`` members but the whole, larger ones first, in their order."""
    for size in range(len(members) - 1, least - 1, -1):
        yield from combinations(members, size)


def _test_answers(run: Run) -> dict[str, list[Prediction]]:
    """What each member answered, from the run's predictions; RunError if there are none."""
    run.require_fitted()
    if not run.recipe().members():
        name = run.recipe().model["name"]
        raise RunError(f"{name} wraps no members to leave out", where=run.path)
    rows = list(run.predictions()) if run.predictions_file("").exists() else []
    if not rows:
        raise RunError("has no predictions", where=run.path, hint="vesalius predict --run RUN")
    return member_predictions(rows)


def _subset(run: Run, names: Sequence[str]) -> Run:
    """The run of a set of members, new or begun; its members are the whole's."""
    path = run.path / SUBSETS / "+".join(names)
    recipe = run.recipe()
    model = {**recipe.model, "members": {key: _reference(recipe, key) for key in names}}
    if model.get("use"):
        model["use"] = list(names)
    name = "-".join([recipe.name, *names])
    part = Run.create(path, recipe.model_copy(update={"name": name, "model": model}))
    whole = part.recipe().members()
    references = {
        key: referenced(path, one, path) for key, one in whole.items() if isinstance(one, Reference)
    }
    note_references(part, references)
    return part


def _reference(recipe: Recipe, key: str) -> dict[str, str]:
    """Where a member's run is, as seen from a set's."""
    member = recipe.members()[key]
    if isinstance(member, Reference):
        return {"run": member.run.replace(RUN, f"{RUN}/../..")}
    return {"run": f"{RUN}/../../{FOLDER}/{key}"}


def _only(columns: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {key: columns[key] for key in names if key in columns}
