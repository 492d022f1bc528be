"""Cross-fitting: every case of a set answered by a model that was fitted on others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vesalius.data.audit import Key
from vesalius.data.dealing import Dealing
from vesalius.data.split import write_splits
from vesalius.errors import RecipeError
from vesalius.recipe import Data, Recipe, Splits
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.folds import deal
from vesalius.steps.mix import opened
from vesalius.steps.predict import predict

LEAST = 3
"""Folds: one is answered, one validates, the others train."""
RESPLIT = {*Dealing.model_fields, "split_file"} - {"groups"}
"""Options of a set whose place the folds take; look-alikes stay one group."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Member:
    group: str


def cross_fit(recipe: Recipe, folder: Path, folds: int) -> list[Run]:
    """A run a fold in ``folder``: fitted on the others, it has answered the cases of its own.

    Cases of all splits are dealt, whole groups to a fold, by the recipe's seed; the next fold
    validates. What was begun goes on. RecipeError for fewer than three folds, or fewer groups.
    """
    if folds < LEAST:
        raise RecipeError(f"at least {LEAST} folds, not {folds}", where="folds")
    data = recipe.data.model_copy(update={"splits": Splits(), "options": _own(recipe.data)})
    dataset = opened(data)
    groups = {
        Key(case.id, split): case.group
        for split in dataset.splits()
        for case in dataset.cases(split)
    }
    dealt = deal([_Member(group) for group in groups.values()], folds, recipe.seed)
    runs = []
    for fold in range(folds):
        log.warning("fold %d of %d", fold + 1, folds)
        name = f"fold-{fold}-of-{folds}"
        file = folder / f"{name}.jsonl"
        if not file.exists():  # a run that began with another one is refused, and not broken
            write_splits(file, _parts(groups, dealt, fold, folds))
        options = {**data.options, "split_file": file.as_posix()}
        own = recipe.model_copy(update={
            "name": f"{recipe.name}-{name}",
            "data": data.model_copy(update={"options": options}),
        })  # fmt: skip
        run = fit(own, folder / name)
        predict(run)
        runs.append(run)
    return runs


def _own(data: Data) -> dict[str, object]:
    return {name: value for name, value in data.options.items() if name not in RESPLIT}


def _parts(
    groups: Mapping[Key, str], dealt: Mapping[str, int], fold: int, folds: int
) -> dict[Key, str]:
    """Each case's split where this fold is answered."""
    splits = Splits()
    parts = {fold: splits.test, (fold + 1) % folds: "validation"}
    return {key: parts.get(dealt[group], splits.train) for key, group in groups.items()}
