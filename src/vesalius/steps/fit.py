"""Fit: from a recipe to a run, member by member and stage by stage where it has any."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.evaluate import evaluate
from vesalius.models import Lesson, Model, Validate
from vesalius.models.feature_cache import with_shared_features
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps import folds
from vesalius.steps.check import Checked, check
from vesalius.steps.claim import note_claims
from vesalius.steps.concepts import note_concepts, training_concepts
from vesalius.steps.frequent import note_frequent_answer
from vesalius.steps.load import load
from vesalius.steps.members import FOLDER, member_path, note_references
from vesalius.steps.ready import Ready, watched
from vesalius.steps.stages import stage_path
from vesalius.steps.verdicts import note_verdict
from vesalius.training.memory import release
from vesalius.training.processes import main_first, on_main, wait_for_everyone
from vesalius.training.tracking import tracking

PARTS = ("train", "validation")
Answers = Mapping[str, Sequence[Prediction]]


class Taught(NamedTuple):
    """What members answered, by member: to the training split out of fold, and to validation."""

    train: Answers
    validation: Answers


NOTHING = Taught({}, {})


@with_shared_features
def fit(recipe: Recipe, path: Path | str) -> Run:
    """Fit the recipe's model; the run is in ``path``. A killed fit goes on where it stopped.

    Everything that can be wrong with recipe and data, those of all stages and members, is found
    before the folder is made. The stages before the last have runs of their own in ``stages`` below
    ``path``, members in ``members``, and their folds below these. A run that is already fitted is
    returned as it is.
    """
    checked = check(recipe, Path(path))
    checked.rehearse()
    return _fit(checked)


def _fit(checked: Checked) -> Run:
    """The run of a checked recipe, its members and stages fitted first."""
    last = checked.last
    run = _begin(last, checked.path)
    on_main(lambda: note_references(run, checked.references))
    on_main(lambda: note_claims(run, checked.recipe.claims))
    if run.fitted:
        return fit_stage(last, run)
    for member in checked.members.values():
        if isinstance(member, Checked):
            _fit(member)
    taught = member_answers(checked)
    named = zip(checked.stages[:-1], checked.recipe.stages, strict=False)
    for number, (ready, stage) in enumerate(named, start=1):
        fit_stage(ready, _begin(ready, stage_path(checked.path, number, stage.name)))
    return fit_stage(last, run, taught)


def _begin(ready: Ready, path: Path) -> Run:
    """The run at ``path``, new or begun."""
    with main_first():
        return Run.create(path, ready.recipe)


def fit_stage(ready: Ready, run: Run, taught: Taught = NOTHING) -> Run:
    """Fit into a run, unless that was done; RunError if it began with other data."""
    noted = run.status().get("data", {})
    if any(noted.get(split, ready.facts[split]) != ready.facts[split] for split in PARTS):
        hint = "choose another folder"
        raise RunError("the data are not those this run began with", where=run.path, hint=hint)
    if not run.fitted:
        run.note(data=ready.facts)
        on_main(lambda: note_verdict(run))
        on_main(lambda: note_concepts(run, ready.train))
        on_main(lambda: note_frequent_answer(run, ready.train))
        release()
        concepts = partial(training_concepts, ready.recipe.data, ready.train)
        lesson = Lesson(
            ready.train,
            ready.validation,
            _validate(ready),
            taught.train,
            concepts,
            taught.validation,
        )
        with tracking(run, ready.recipe) as followed:
            ready.learner.fit(lesson, followed)
        run.finish()
        wait_for_everyone()
    on_main(lambda: _index(ready, run))
    # Last of all: until the run is marked as fitted, they are what a killed fit goes on from.
    on_main(lambda: shutil.rmtree(run.path / "checkpoints", ignore_errors=True))
    return run


def member_answers(checked: Checked) -> Taught:
    """What a wrapper learns from: members' answers, computed once and read again.

    To the training split each is given by a model that was not fitted on its dialogue; to what is
    validated on by the members themselves. Nothing where the recipe has no folds.
    """
    return Taught(
        {key: _out_of_fold(checked, key) for key in checked.folds},
        {key: _on_validation(checked, key) for key in checked.folds},
    )


def _on_validation(checked: Checked, key: str) -> list[Prediction]:
    """A member's answers to the dialogues that are validated on."""
    decoding = checked.recipe.decoding
    path = checked.path / FOLDER / key / folds.FOLDER / folds.VALIDATION
    label = f"Answers of {key} to validate on"
    some = _validated(checked.last)
    return folds.answered(path, some, lambda: load(_member_run(checked, key)), decoding, label)


def _out_of_fold(checked: Checked, key: str) -> list[Prediction]:
    """A member's answers to the training split, by models that were fitted without each part."""
    parts = checked.folds[key]

    def model(fold: int) -> Model:
        release()
        return load(_fit(parts[fold]) if parts else _member_run(checked, key))

    for part in parts:
        _fit(part)
    folder = checked.path / FOLDER / key / folds.FOLDER
    decoding = checked.recipe.decoding
    return folds.out_of_fold(folder, checked.last.train, checked.dealt, model, decoding)


def _member_run(checked: Checked, key: str) -> Run:
    member = checked.members[key]
    return member if isinstance(member, Run) else Run.open(member_path(checked.path, key))


def _index(ready: Ready, run: Run) -> None:
    """The index of similar cases, where the recipe asks for one that is not there yet."""
    if ready.recipe.retrieve is not None:
        from vesalius.combine.evidence import Evidence

        Evidence(ready.recipe.retrieve).fit(Lesson(ready.train), run)


def _validated(ready: Ready) -> list[Dialogue]:
    """The validation dialogues that a fit may look at."""
    return ready.validation[: ready.recipe.evaluation.validate_on]


def _validate(ready: Ready) -> Validate | None:
    """The score that fitting may look at, on the first validation dialogues."""
    recipe = ready.recipe
    some = _validated(ready)
    if not some:
        return None
    spec = watched(recipe.evaluation)

    def score(model: Model) -> float:
        predictions = model.predict(some, recipe.decoding)
        evaluation = evaluate(predictions, [spec], resamples=0, by=())
        return evaluation.score(recipe.evaluation.watch).value

    return score
