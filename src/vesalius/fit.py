"""Fit: from a recipe to a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.evaluation.evaluate import evaluate
from vesalius.gather import fingerprint, leaks, to_fit_on, without
from vesalius.models import Model, Validate
from vesalius.models.build import build
from vesalius.recipe import Recipe
from vesalius.run import Run


@runtime_checkable
class Plannable(Protocol):
    """A learner that can say beforehand what a fit will cost, and show its loss mask."""

    def plan(self, train: list[Dialogue], seed: int) -> dict[str, Any]:
        """Parameters, tokens, steps, estimated memory and time."""

    def mask(self, train: list[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""


def fit(recipe: Recipe, path: Path) -> Run:
    """Fit the recipe's model; the run is in ``path``. A killed fit goes on where it stopped.

    Everything that can be wrong with recipe and data is found before the folder is made. A run
    that is already fitted is returned as it is.
    """
    learner = build(recipe.model)
    train = to_fit_on(recipe.data, recipe.data.splits.train)
    validation = _validation(recipe)
    shared, outside = leaks(recipe.data)
    train = without(train, outside, recipe.data.splits.train)
    validation = without(validation, outside, recipe.data.splits.validation)
    run = Run.create(path, recipe)
    if run.fitted:
        return run
    facts = {"train": fingerprint(train), "validation": fingerprint(validation)}
    dropped = {split: len(ids) for split, ids in outside.items() if ids}
    run.note(data=facts | {"leaks": shared, "dropped": dropped})
    learner.fit(train, validation, run, _validate(recipe, validation))
    run.finish()
    return run


def load(run: Run) -> Model:
    """The fitted model of a run; RunError if the fit was not finished."""
    run.require_fitted()
    return build(run.recipe().model).load(run)


def plan(recipe: Recipe) -> dict[str, Any]:
    """What fitting the recipe would do and cost, nothing written."""
    learner = build(recipe.model)
    train = to_fit_on(recipe.data, recipe.data.splits.train)
    facts = fingerprint(train)
    if isinstance(learner, Plannable):
        return facts | learner.plan(train, recipe.seed)
    return facts


def mask(recipe: Recipe) -> Iterator[tuple[str, bool]]:
    """(token, bears loss) along the first training row; ModelError if nothing is masked there."""
    learner = build(recipe.model)
    if not isinstance(learner, Plannable):
        raise ModelError(f"{recipe.model['name']} learns no tokens, so it masks none")
    data = recipe.data.model_copy(update={"limit": {recipe.data.splits.train: 1}})
    return learner.mask(to_fit_on(data, data.splits.train), recipe.seed)


def _validation(recipe: Recipe) -> list[Dialogue]:
    split = recipe.data.splits.validation
    return [] if split is None else to_fit_on(recipe.data, split)


def _validate(recipe: Recipe, validation: list[Dialogue]) -> Validate | None:
    """The score that fitting may look at: exact match on the first validation dialogues."""
    some = validation[: recipe.evaluation.validate_on]
    if not some:
        return None

    def score(model: Model) -> float:
        found = evaluate(model.predict(some, recipe.decoding), ["squad"], resamples=0, by=())
        return found.score("squad.em").value

    return score
