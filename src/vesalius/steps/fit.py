"""Fit: from a recipe to a run, stage by stage where it has stages."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError, RecipeError, RunError, UnknownName
from vesalius.evaluation.evaluate import Spec, evaluate
from vesalius.evaluation.metrics import metrics
from vesalius.models import Learner, Lesson, Model, Validate
from vesalius.models.build import build
from vesalius.recipe import Data, Evaluation, Recipe, Retrieve
from vesalius.run import Run
from vesalius.steps.plan import estimate, missing
from vesalius.steps.prepare import fingerprint, leaks, to_fit_on, without
from vesalius.steps.stages import Seen, seen_before, stage_path, stage_run
from vesalius.training.memory import release
from vesalius.training.processes import main_first, on_main, wait_for_everyone

PARTS = ("train", "validation")
QUANTIZATIONS = ("nf4", "none")
ASKED = ("vqa", "dialogue", "visual_dialogue")
"""Tasks whose questions are the data set's own, not the recipe's instruction."""


@runtime_checkable
class Plannable(Protocol):
    """A learner that can say beforehand what a fit will cost, and show its loss mask."""

    def plan(self, train: list[Dialogue], seed: int) -> dict[str, Any]:
        """Parameters, tokens, steps, estimated memory and time."""

    def mask(self, train: list[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row."""


@runtime_checkable
class Careful(Protocol):
    """A learner that can be refused before any data are read."""

    def check(self, *, validated: bool) -> None:
        """Raise what a fit would raise: a device, weights, roles, settings that cannot be."""


@runtime_checkable
class Rehearsing(Protocol):
    """A learner that can be refused before a run is begun, for all stages that start with it."""

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Raise what fitting one of the stages (its learner, what it trains on) would raise."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A recipe of which everything was checked, with its learner and its data."""

    recipe: Recipe
    learner: Learner
    train: list[Dialogue]
    validation: list[Dialogue]
    facts: dict[str, Any]
    """Of the data: counts, hashes, leaks, what was dropped."""

    def run(self, path: Path) -> Run:
        """The run at ``path``, new or begun."""
        with main_first():
            return Run.create(path, self.recipe)

    def fit(self, run: Run) -> Run:
        """Fit into a run, unless that was done; RunError if it began with other data."""
        begun = run.status().get("data", {})
        if any(begun.get(split, self.facts[split]) != self.facts[split] for split in PARTS):
            hint = "choose another --run folder"
            raise RunError("the data are not those this run began with", where=run.path, hint=hint)
        if not run.fitted:
            run.note(data=self.facts)
            release()
            validate = _validate(self.recipe, self.validation)
            self.learner.fit(Lesson(self.train, self.validation, validate), run)
            run.finish()
            wait_for_everyone()
        on_main(lambda: self._index(run))
        # Last of all: until the run is marked as fitted, they are what a killed fit goes on from.
        on_main(lambda: shutil.rmtree(run.path / "checkpoints", ignore_errors=True))
        return run

    def _index(self, run: Run) -> None:
        """The index of similar cases, where the recipe asks for one that is not there yet."""
        if self.recipe.retrieve is not None and not run.index.exists():
            index(run, self.train, self.recipe.retrieve)


def fit(recipe: Recipe, path: Path) -> Run:
    """Fit the recipe's model; the run is in ``path``. A killed fit goes on where it stopped.

    Everything that can be wrong with recipe and data, those of all stages, is found before the
    folder is made. The stages before the last have runs of their own in ``stages`` below ``path``.
    A run that is already fitted is returned as it is.
    """
    learners = [_built(stage) for stage in recipe.unrolled()]
    recipes = [_resolved(*one) for one in zip(recipe.unrolled(), learners, strict=True)]
    read = [_read(stage.data) for stage in recipes]
    checked = zip(recipes, learners, read, seen_before(recipe), strict=True)
    stages = [_ready(*one) for one in checked]
    first = stages[0].learner
    if isinstance(first, Rehearsing) and not (path / "recipe.yaml").exists():
        first.rehearse([(stage.learner, stage.train) for stage in stages], recipe.seed)
    *earlier, last = stages
    if last.recipe.retrieve is not None:
        from vesalius.combine import indexing

        indexing.ready(last.recipe.retrieve, last.train)
    run = last.run(path)
    if run.fitted:
        return last.fit(run)
    for number, (ready, stage) in enumerate(zip(earlier, recipe.stages, strict=False), start=1):
        ready.fit(ready.run(stage_path(path, number, stage.name)))
    return last.fit(run)


def index(run: Run, train: Sequence[Dialogue], settings: Retrieve) -> dict[str, Any]:
    """Write a run's index of similar cases over the pictures it was trained on; its facts."""
    from vesalius.combine import indexing

    data = run.recipe().data
    entries = indexing.index_entries(train, "" if data.task in ASKED else data.instruction)
    facts = {"split": data.splits.train, "data": fingerprint(train)["sha256"]}
    started = time.perf_counter()
    made = indexing.write_index(run.index, entries, settings, facts)
    seconds = round(time.perf_counter() - started, 1)
    run.note(index={"pictures": made["pictures"], "encoder": settings.encoder, "seconds": seconds})
    return made


def trained_on(run: Run) -> list[Dialogue]:
    """The dialogues that a run was fitted on, read again; RunError if they are others now."""
    run.require_fitted()
    data = run.recipe().data
    outside = leaks(data)[1] if data.leaks == "drop" else {}
    train = without(to_fit_on(data, data.splits.train), outside, data.splits.train)
    if fingerprint(train) != run.status().get("data", {}).get("train"):
        hint = "they were moved, changed, or come in another version"
        raise RunError("the data are not those this run was fitted on", where=run.path, hint=hint)
    return train


def load(run: Run, *, stage: str | None = None, quantization: str | None = None) -> Model:
    """The fitted model of a run, or that which one of its stages left.

    ``quantization``: ``nf4`` or ``none``, in the place of what the recipe says, for models that
    can. RunError if the fit was not finished; UnknownName for a stage that there is not.
    """
    if stage is not None:
        run = stage_run(run, stage)
    run.require_fitted()
    learner: Any = build(run.recipe().model)
    if quantization is None:
        model: Model = learner.load(run)
        return model
    if quantization not in QUANTIZATIONS:
        raise UnknownName("quantization", quantization, QUANTIZATIONS)
    if "quantization" not in learner.Settings.model_fields:
        raise ModelError(f"{run.recipe().model['name']} cannot be quantised", where=run.path)
    quantized: Model = learner.load(run, quantization=quantization)
    return quantized


def plan(recipe: Recipe) -> dict[str, Any]:
    """What fitting the recipe would do and cost, nothing written; by stage where it has stages.

    Where data or weights are not here, what can be told from cards and published sizes.
    """
    recipes = recipe.unrolled()
    here = not any(missing(stage) for stage in recipes)
    seen = seen_before(recipe) if here else [Seen()] * len(recipes)
    planned = [_planned(*one) for one in zip(recipes, seen, strict=True)]
    if len(recipes) > 1:
        return {s.name: facts for s, facts in zip(recipe.stages, planned, strict=True)}
    return planned[0]


def mask(recipe: Recipe) -> Iterator[tuple[str, bool]]:
    """(token, bears loss) along the first training row; ModelError if nothing is masked there."""
    last = recipe.unrolled()[-1]
    learner = build(last.model)
    if not isinstance(learner, Plannable):
        raise ModelError(f"{last.model['name']} learns no tokens, so it masks none")
    data = last.data.model_copy(update={"limit": {last.data.splits.train: 1}})
    return learner.mask(to_fit_on(data, data.splits.train), last.seed)


def _planned(recipe: Recipe, seen: Seen) -> dict[str, Any]:
    absent = missing(recipe)
    if absent:
        return {"not_here": "; ".join(absent), **estimate(recipe)}
    learner = _built(recipe)
    ready = _ready(recipe, learner, _read(recipe.data), seen)
    facts = {**ready.facts["train"], "dropped": ready.facts["dropped"]}
    if isinstance(learner, Plannable):
        return facts | learner.plan(ready.train, recipe.seed)
    return facts


def _built(recipe: Recipe) -> Learner:
    """The recipe's learner, checked as far as that goes without data."""
    learner = build(recipe.model)
    _watched(recipe.evaluation)
    if isinstance(learner, Careful):
        validates = recipe.evaluation.validate_on > 0 and recipe.data.splits.validation is not None
        learner.check(validated=validates)
    return learner


def _resolved(recipe: Recipe, learner: Learner) -> Recipe:
    """The recipe with the model's defaults and presets written out: later ones may be others."""
    settings = getattr(learner, "settings", None)
    if settings is None or hasattr(learner, "wraps"):
        return recipe
    model = {"name": recipe.model["name"], **settings.model_dump(mode="json")}
    return recipe.model_copy(update={"model": model})


def _read(data: Data) -> tuple[list[Dialogue], list[Dialogue]]:
    """What a recipe trains on and what it validates on; RecipeError where that cannot be."""
    train = to_fit_on(data, data.splits.train)
    for dialogue in train:
        replies = (turn.reply for turn in dialogue.closed().turns)
        if any(r is not None and r.text is not None and not r.text.strip() for r in replies):
            hint = "vesalius data check lists them all"
            raise RecipeError("an answer to learn is empty", where=dialogue.id, hint=hint)
    return train, [] if data.splits.validation is None else to_fit_on(data, data.splits.validation)


def _ready(
    recipe: Recipe, learner: Learner, read: tuple[list[Dialogue], list[Dialogue]], seen: Seen
) -> Ready:
    """The recipe with its data, without what leaks."""
    splits = recipe.data.splits
    shared, outside = leaks(recipe.data)
    for split, ids in seen.outside.items():
        outside[split] = outside.get(split, set()) | ids
    train = without(read[0], outside, splits.train)
    validation = without(read[1], outside, splits.validation)
    facts = {
        "train": fingerprint(train),
        "validation": fingerprint(validation),
        "leaks": shared,
        "shared_with_final_test": seen.counts,
        "dropped": {split: len(ids) for split, ids in outside.items() if ids},
    }
    return Ready(recipe, learner, train, validation, facts)


def _validate(recipe: Recipe, validation: list[Dialogue]) -> Validate | None:
    """The score that fitting may look at, on the first validation dialogues."""
    some = validation[: recipe.evaluation.validate_on]
    if not some:
        return None
    watched, spec = recipe.evaluation.watch, _watched(recipe.evaluation)

    def score(model: Model) -> float:
        found = evaluate(model.predict(some, recipe.decoding), [spec], resamples=0, by=())
        return found.score(watched).value

    return score


def _watched(evaluation: Evaluation) -> Spec:
    """The metric that gives the watched score, with the parameters that the recipe gives it.

    UnknownName if none does; RecipeError if a higher one is not better.
    """
    watch, where = evaluation.watch, "evaluation.watch"
    prefix = watch.partition(".")[0]
    chosen: list[Spec] = list(evaluation.metrics)
    known: list[str] = []
    for spec in [*chosen, *([prefix] if prefix in metrics else [])]:
        empty = evaluate([], [spec], resamples=0, by=())
        known += [score.metric for score in empty.scores]
        if watch not in known:
            continue
        if empty.better(empty.score(watch)) != "higher":
            hint = f"one of {', '.join(s.metric for s in empty.scores)}?"
            raise RecipeError(f"a higher {watch} is not better", where=where, hint=hint)
        return spec
    raise UnknownName("score", watch, known, where=where)
