"""A recipe ready to be fitted: its learner, its data without what leaks, and facts of both."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.tasks import task_of
from vesalius.data.box_units import misplaced
from vesalius.data.check import unread
from vesalius.data.findings import Finding, code_of
from vesalius.errors import DatasetError, RecipeError, UnknownName
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.metrics import metrics
from vesalius.models import Learner
from vesalius.models.build import build
from vesalius.models.capabilities import Conversational, Sighted, Wordless
from vesalius.models.guard import require_at_most
from vesalius.recipe import Data, Evaluation, Recipe
from vesalius.steps.prepare import Shared, Used, fingerprint, leaks, to_fit_on, without
from vesalius.steps.stages import Seen

log = logging.getLogger(__name__)


@runtime_checkable
class Checkable(Protocol):
    """A learner that can be refused before any data are read."""

    def check(self, *, validated: bool) -> None:
        """Raise what a fit would raise: a device, weights, roles, settings that cannot be."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A recipe of which everything was checked, with its learner and its data."""

    recipe: Recipe
    learner: Learner
    train: list[Dialogue]
    validation: list[Dialogue]
    facts: dict[str, Any]
    """Of the data: counts, hashes, leaks, what was dropped."""


class Reading:
    """Data blocks read once, however many members, stages and folds are fitted on them."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[list[Dialogue], list[Dialogue]]] = {}
        self._leaks: dict[str, Shared] = {}
        self._boxed: set[str] = set()

    def read(self, data: Data) -> tuple[list[Dialogue], list[Dialogue]]:
        """What a recipe trains on and what it validates on; RecipeError where that cannot be."""
        key = data.model_dump_json()
        if key not in self._known:
            self._known[key] = _read(data)
        return self._known[key]

    def leaks(self, data: Data) -> Shared:
        """What the splits share and hold, and the ids to leave out (see ``prepare.leaks``)."""
        key = _cases_of(data)
        if key not in self._leaks:
            for one in unread(Used(data)):  # `data import` names these; not all data were imported
                log.warning("%s: %s (%s)", one.where, one.what, one.code)
            self._leaks[key] = leaks(data)
        known = self._leaks[key]
        outside = {split: set(ids) for split, ids in known.outside.items()}
        return known._replace(counts=dict(known.counts), outside=outside)

    def require_boxes(self, data: Data) -> None:
        """Boxes lie in their pictures; DatasetError names the first row where they do not.

        What is only doubtful is told. Pictures' headers are read, in all splits.
        """
        key = _cases_of(data)
        if key in self._boxed:
            return
        counts, first = Counter[str](), dict[str, Finding]()
        for one in misplaced(Used(data)):
            counts[one.code] += 1
            first.setdefault(one.code, one)
        for code, one in sorted(first.items(), key=lambda item: item[1].level):
            others = f"; {counts[code]:,} in all" if counts[code] > 1 else ""
            what = f"{one.what} ({code}{others})"
            if one.level == "error":
                hint = f"{code_of(code).mend}; vesalius data check names them all"
                raise DatasetError(what, where=one.where, hint=hint)
            log.warning("%s: %s", one.where, what)
        self._boxed.add(key)


@dataclass(frozen=True, slots=True)
class Scope:
    """What was read, and of which groups alone a fold trains (None: of all)."""

    reading: Reading = field(default_factory=Reading)
    groups: Set[str] | None = None


def _cases_of(data: Data) -> str:
    """A key of which cases a data block reads, whatever is asked of them."""
    named = {"dataset", "root", "hub", "options", "splits", "leaks", "limit", "drawn", "mix"}
    return data.model_dump_json(include=named & set(type(data).model_fields))


def built(recipe: Recipe) -> Learner:
    """The recipe's learner, checked as far as that goes without data."""
    learner = build(recipe.model)
    watched(recipe.evaluation)
    if isinstance(learner, Checkable):
        validates = recipe.evaluation.validate_on > 0 and recipe.data.splits.validation is not None
        learner.check(validated=validates)
    return learner


def ready(
    recipe: Recipe,
    learner: Learner,
    data: tuple[list[Dialogue], list[Dialogue]],
    seen: Seen,
    scope: Scope,
) -> Ready:
    """The recipe with its data, without what leaks."""
    splits = recipe.data.splits
    if task_of(recipe.data.task).references == "boxes":
        scope.reading.require_boxes(recipe.data)
    shared, outside, contents, sets = scope.reading.leaks(recipe.data)
    for split, ids in seen.outside.items():
        outside[split] = outside.get(split, set()) | ids
    train = without(data[0], outside, splits.train)
    validation = without(data[1], outside, splits.validation)
    if scope.groups is not None:
        train = [dialogue for dialogue in train if dialogue.group in scope.groups]
    if isinstance(learner, Sighted):
        require_at_most(learner.most_pictures, [*train, *validation])
    if isinstance(learner, Wordless) and not learner.reads_system:
        unread = sum(dialogue.system is not None for dialogue in (*train, *validation))
        if unread:
            name = recipe.model["name"]
            log.warning("%d dialogues have a system turn, which %s does not read", unread, name)
    if isinstance(learner, Conversational) and learner.takes_pictures == "none":
        _warn_of_pictures([*train, *validation], recipe.model["name"])
    facts = {
        "train": fingerprint(train),
        "validation": fingerprint(validation),
        "leaks": shared,
        "contents": contents,
        **({"sets": sets} if sets else {}),
        "shared_with_final_test": seen.counts,
        "dropped": {split: len(ids) for split, ids in outside.items() if ids},
    }
    return Ready(recipe, learner, train, validation, facts)


def _warn_of_pictures(dialogues: Sequence[Dialogue], name: str) -> None:
    """Say how many dialogues show pictures that are not looked at."""
    shows = sum(bool(dialogue.pictures) for dialogue in dialogues)
    if shows:
        log.warning("%d dialogues show pictures, which %s does not look at", shows, name)


def watched(evaluation: Evaluation) -> Spec:
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


def _read(data: Data) -> tuple[list[Dialogue], list[Dialogue]]:
    train = to_fit_on(data, data.splits.train)
    for dialogue in train:
        replies = (turn.reply for turn in dialogue.closed().turns)
        if any(r is not None and r.text is not None and not r.text.strip() for r in replies):
            hint = "vesalius data check lists them all"
            raise RecipeError("an answer to learn is empty", where=dialogue.id, hint=hint)
    return train, [] if data.splits.validation is None else to_fit_on(data, data.splits.validation)
