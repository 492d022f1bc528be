"""Plan: what a fit would do and cost, and which tokens would bear loss; nothing is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError
from vesalius.models.build import build
from vesalius.recipe import Recipe, Reference
from vesalius.steps.check import Checked, check
from vesalius.steps.estimate import estimate, missing
from vesalius.steps.prepare import to_fit_on
from vesalius.steps.ready import Ready


@runtime_checkable
class Plannable(Protocol):
    """A learner that can say beforehand what a fit will cost, and show its loss mask."""

    def plan(self, train: list[Dialogue], seed: int) -> dict[str, Any]:
        """Parameters, tokens, steps, estimated memory and time."""

    def mask(self, train: list[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""


def plan(recipe: Recipe) -> dict[str, Any]:
    """What fitting the recipe would do and cost, nothing written; by stage where it has stages.

    Members stand under ``members`` by name, how often each is fitted beside them. Where data or
    weights are not here, what can be told from cards and published sizes.
    """
    absent = missing(recipe)
    if not absent:
        return _planned(check(recipe, Path("runs") / recipe.name))
    return {"not_here": "; ".join(absent), **_estimated(recipe)}


def mask(recipe: Recipe) -> Iterator[tuple[str, bool]]:
    """(token, bears loss) along the first training row; ModelError if nothing is masked there.

    Of a model that wraps others, the first member's that learns tokens.
    """
    last = recipe.unrolled()[-1]
    learner = build(last.model)
    if isinstance(learner, Plannable):
        data = last.data.model_copy(update={"limit": {last.data.splits.train: 1}, "mix": ()})
        return learner.mask(to_fit_on(data, data.splits.train), last.seed)
    for member in recipe.members().values():
        if isinstance(member, Recipe):
            try:
                return mask(member)
            except ModelError:
                continue
    raise ModelError(f"{last.model['name']} learns no tokens, so it masks none")


def _planned(checked: Checked) -> dict[str, Any]:
    facts = [_of_stage(ready) for ready in checked.stages]
    named = {s.name: one for s, one in zip(checked.recipe.stages, facts, strict=False)}
    planned = named if len(facts) > 1 else facts[0]
    if checked.members:
        fits = 1 + (checked.recipe.folds or 0)
        planned["members"] = {
            key: {"fits": fits if checked.folds.get(key) else 1} | _planned(one)
            if isinstance(one, Checked)
            else {"run": one.path.as_posix()}
            for key, one in checked.members.items()
        }
    return planned


def _of_stage(ready: Ready) -> dict[str, Any]:
    facts = {**ready.facts["train"], "dropped": ready.facts["dropped"]}
    if isinstance(ready.learner, Plannable):
        return facts | ready.learner.plan(ready.train, ready.recipe.seed)
    return facts


def _estimated(recipe: Recipe) -> Mapping[str, Any]:
    """The estimate of a recipe, and of its members below it."""
    members = {
        key: {"run": member.run} if isinstance(member, Reference) else _estimated(member)
        for key, member in recipe.members().items()
    }
    return estimate(recipe) | ({"members": members} if members else {})
