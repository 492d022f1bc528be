"""Check: everything that can be wrong with a recipe and its data, found before a run is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.data.box_questions import OPTION as BOX_QUESTIONS
from vesalius.data.caption_concepts import OPTION as CAPTION_CONCEPTS
from vesalius.errors import RecipeError, RunError
from vesalius.models import Learner, Wraps, models
from vesalius.models.build import build
from vesalius.models.capabilities import Combining, Indexing
from vesalius.recipe import Data, Recipe, Reference
from vesalius.run import Run
from vesalius.steps import folds
from vesalius.steps.members import FOLDER, member_path, referenced
from vesalius.steps.ready import Reading, Ready, Scope, built, ready
from vesalius.steps.stages import Seen, seen_before
from vesalius.training.trackers import require_installed


@runtime_checkable
class DryRunnable(Protocol):
    """A learner that can be refused before a run is begun, for all stages that start with it."""

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Raise what fitting one of the stages (its learner, what it trains on) would raise."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A recipe whose every part can be fitted: its stages, its members, their folds."""

    path: Path
    recipe: Recipe
    stages: tuple[Ready, ...]
    members: Mapping[str, Checked | Run] = field(default_factory=dict)
    """Members to fit below the run, and those that are finished runs."""
    folds: Mapping[str, tuple[Checked, ...]] = field(default_factory=dict)
    """By member, its fits without each part of the training split; none where nothing trains."""
    dealt: Mapping[str, int] = field(default_factory=dict)
    """Group -> fold."""

    @property
    def last(self) -> Ready:
        """The stage that leaves the run's own model."""
        return self.stages[-1]

    @property
    def references(self) -> dict[str, Run]:
        """The members that are finished runs."""
        return {key: one for key, one in self.members.items() if isinstance(one, Run)}

    def rehearse(self) -> None:
        """Raise what a fit of this or of a member would, without data sets being read again."""
        for member in self.members.values():
            if isinstance(member, Checked):
                member.rehearse()
        first = self.stages[0].learner
        if isinstance(first, DryRunnable) and not (self.path / "recipe.yaml").exists():
            first.rehearse([(one.learner, one.train) for one in self.stages], self.recipe.seed)
        if self.last.recipe.retrieve is not None:
            from vesalius.combine.retrieval import indexing

            indexing.ready(self.last.recipe.retrieve, self.last.train)


WORDS = {"task", "instruction", "context", "categories"}
"""Of a data block: what is asked of the cases, not which they are."""
ANNOTATIONS = {BOX_QUESTIONS, CAPTION_CONCEPTS}
"""The same of its options."""


def check(recipe: Recipe, path: Path, scope: Scope | None = None) -> Checked:
    """Everything of a recipe that is to be fitted into ``path``, read and checked, nothing made.

    Raises what a fit would.
    """
    scope = scope or Scope()
    require_installed(recipe.report_to)
    if recipe.stages and recipe.members():
        hint = "give the stages to a member: members: {nano: {model: {...}, stages: [...]}}"
        raise RecipeError("a model that wraps others has no stages of its own", hint=hint)
    unrolled = recipe.unrolled()
    learners = [built(stage) for stage in unrolled]
    members = {
        key: _member(recipe, path, key, member, scope) for key, member in recipe.members().items()
    }
    _require_suitable(unrolled[-1], learners[-1], members)
    resolved = [_resolved(*one, members) for one in zip(unrolled, learners, strict=True)]
    data = [scope.reading.read(stage.data) for stage in resolved]
    each = zip(resolved, learners, data, seen_before(recipe), strict=True)
    stages = tuple(ready(*one, scope) for one in each)
    _require_same_data(members, stages[-1], scope)
    checked = Checked(path, recipe, stages, members)
    return _with_folds(checked, scope.reading)


def _member(
    recipe: Recipe, path: Path, key: str, member: Recipe | Reference, scope: Scope
) -> Checked | Run:
    """A member, checked; RecipeError if it does another task than the model that wraps it."""
    where = f"model.members.{key}"
    found: Checked | Run
    if isinstance(member, Reference):
        found = referenced(path, member, where)
        task = found.recipe().data.task
    else:
        found = check(member, member_path(path, key), scope)
        task = member.data.task
    wraps: Wraps = models[recipe.model["name"]].wraps
    if task not in (recipe.data.task, wraps.tasks.get(key)):
        what = f"the member's task is {task}, the recipe's {recipe.data.task}"
        raise RecipeError(what, where=where)
    return found


def _require_suitable(
    recipe: Recipe, learner: Learner, members: Mapping[str, Checked | Run]
) -> None:
    """RecipeError for members that the wrapper cannot use, or a second index beside its own."""
    if isinstance(learner, Indexing) and recipe.retrieve is not None:
        what = f"{recipe.model['name']} has an index of its own, which its settings describe"
        raise RecipeError(what, where="retrieve", hint="leave the block out (retrieve=null)")
    if isinstance(learner, Combining):
        learner.check_members(
            {
                key: member.last.learner if isinstance(member, Checked) else _learner_of(member)
                for key, member in members.items()
            }
        )


def _learner_of(run: Run) -> Learner:
    return build(run.recipe().model)


def _require_same_data(members: Mapping[str, Checked | Run], own: Ready, scope: Scope) -> None:
    """RunError if a finished run was fitted on other data: it may have seen what is tested on."""
    for key, member in members.items():
        if isinstance(member, Run):
            noted = member.status().get("data", {}).get("train", {})
            if noted.get("sha256") != _trained_on(member, own, scope):
                what = f"{member.path} was fitted on other data than this recipe's training split"
                hint = "name the member's model, so that it is fitted here"
                raise RunError(what, where=f"model.members.{key}", hint=hint)


def _trained_on(member: Run, own: Ready, scope: Scope) -> str | None:
    """The hash of what a member should have trained on: the wrapper's cases, for its own task.

    None if its recipe reads other cases.
    """
    recipe = member.recipe().unrolled()[-1]
    if recipe.data.task == own.recipe.data.task:
        return str(own.facts["train"]["sha256"])
    if _cases(own.recipe.data) != _cases(recipe.data):
        return None
    data = scope.reading.read(recipe.data)
    facts = ready(recipe, build(recipe.model), data, Seen(), scope).facts
    return str(facts["train"]["sha256"])


def _cases(data: Data) -> dict[str, Any]:
    """What of a data block decides which cases are read, not what is asked of them."""
    block = data.model_dump(exclude=WORDS)
    for one in (block, *block["mix"]):
        one["options"] = {k: v for k, v in one["options"].items() if k not in ANNOTATIONS}
    return block


def _resolved(recipe: Recipe, learner: Learner, members: Mapping[str, Checked | Run]) -> Recipe:
    """The recipe with the model's defaults and presets written out: later ones may be others."""
    settings = getattr(learner, "settings", None)
    if settings is None:
        return recipe
    model = {"name": recipe.model["name"], **settings.model_dump(mode="json")}
    if members:
        model["members"] = {
            key: _resolved_member(recipe.model["members"][key], member)
            for key, member in members.items()
        }
    return recipe.model_copy(update={"model": model})


def _resolved_member(block: Mapping[str, Any], member: Checked | Run) -> dict[str, Any]:
    if isinstance(member, Run):
        return dict(block)
    whole = member.last.recipe if not member.recipe.stages else member.recipe
    return dict(whole.model) if "name" in block else {**block, "model": dict(whole.model)}


def _with_folds(checked: Checked, reading: Reading) -> Checked:
    """The same with its members' folds, where the recipe wants them."""
    wraps: Wraps | None = getattr(checked.last.learner, "wraps", None)
    number = checked.recipe.folds
    if wraps is not None and wraps.learns and number is None:
        name = checked.recipe.model["name"]
        what = f"{name} learns from its members' answers, which must be out of fold"
        raise RecipeError(what, where="folds", hint="say, for example, folds: 5")
    if number is None:
        return checked
    if not checked.members:
        raise RecipeError("the model wraps no members to fit in folds", where="folds")
    dealt = folds.deal(checked.last.train, number, checked.recipe.seed)
    nodes = {
        key: tuple(_folds_of(checked, key, member, dealt, reading))
        for key, member in checked.members.items()
    }
    return Checked(checked.path, checked.recipe, checked.stages, checked.members, nodes, dealt)


def _folds_of(
    checked: Checked,
    key: str,
    member: Checked | Run,
    dealt: Mapping[str, int],
    reading: Reading,
) -> Iterator[Checked]:
    """A member's fits without each fold; none for a model that nothing trains.

    RecipeError for one that cannot be fitted again: its answers would be in-fold.
    """
    where = f"model.members.{key}"
    recipe = member.recipe() if isinstance(member, Run) else member.recipe
    recipe = recipe.model_copy(update={"report_to": ()})  # its answers are wanted, not its curve
    learner = build(recipe.model)
    if not getattr(learner, "foldable", True):
        raise RecipeError(f"{recipe.model['name']} cannot be fitted in folds", where=where)
    if not getattr(learner, "computes", True):
        return
    if recipe.stages or recipe.model.get("start"):
        what = "starts from a run that may have seen every fold, so it cannot be fitted in folds"
        raise RecipeError(what, where=where)
    for fold in range(checked.recipe.folds or 0):
        others = {group for group, at in dealt.items() if at != fold}
        path = checked.path / FOLDER / key / folds.FOLDER / str(fold)
        node = check(recipe, path, Scope(reading, others))
        held_out = [one for one in checked.last.train if dealt[one.group] == fold]
        folds.require_apart(node.last.train, held_out, where)
        yield node
