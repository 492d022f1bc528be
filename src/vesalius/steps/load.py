"""Load: the fitted model of a run, with the members it wraps and the cases it shows."""

from __future__ import annotations

import logging
from typing import Any

from vesalius.errors import ModelError, UnknownName
from vesalius.models import Model
from vesalius.models.build import build
from vesalius.models.capabilities import Indexing
from vesalius.models.weight_files import require_distinct
from vesalius.run import Run
from vesalius.steps.members import member_runs
from vesalius.steps.stages import stage_run

log = logging.getLogger(__name__)
QUANTIZATIONS = ("nf4", "none")


def load(run: Run, *, stage: str | None = None, quantization: str | None = None) -> Model:
    """The fitted model of a run, or that which one of its stages left.

    A model that wraps others receives them loaded; one whose run has an index of similar cases
    gives them as evidence. ``quantization``: ``nf4`` or ``none``, in the place of what the recipe
    says, for models that can. RunError if the fit was not finished, or a member is not what it
    was; UnknownName for a stage that there is not; ModelError for weights that name a tensor twice.
    """
    if stage is not None:
        run = stage_run(run, stage)
    run.require_fitted()
    require_distinct(run.weights.rglob("*.safetensors"))
    recipe = run.recipe()
    learner: Any = build(recipe.model)
    options: dict[str, Any] = {}
    if quantization is not None:
        if quantization not in QUANTIZATIONS:
            raise UnknownName("quantization", quantization, QUANTIZATIONS)
        if "quantization" not in learner.Settings.model_fields:
            raise ModelError(f"{recipe.model['name']} cannot be quantised", where=run.path)
        options["quantization"] = quantization
        _warn_of_another_base(run, recipe.model.get("quantization") or "none", quantization)
    members = {key: load(member) for key, member in member_runs(run).items()}
    if members:
        options["members"] = members
    model: Model = learner.load(run, **options)
    return model if isinstance(learner, Indexing) else with_evidence(model, run)


def _warn_of_another_base(run: Run, fitted: str, asked: str) -> None:
    """Say that answers in another quantisation are not those of the model that was fitted."""
    if asked != fitted:
        log.warning(
            "%s was fitted with quantization %s and is asked with %s: another model, whose answers "
            "and scores are not the run's",
            run.path,
            fitted,
            asked,
        )


def with_evidence(model: Model, run: Run) -> Model:
    """The model, its answers with similar cases beside them where the run has an index of any."""
    if not run.index.exists():
        return model
    from vesalius.combine.evidence import supported

    return supported(model, run)
