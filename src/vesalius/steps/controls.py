"""Controls: a run asked again with other neighbours than its own, in sets beside its answers."""

from __future__ import annotations

from typing import Any

from vesalius.errors import ModelError
from vesalius.models import Model
from vesalius.models.capabilities import Neighboured, require_control
from vesalius.run import Run
from vesalius.steps.load import load
from vesalius.steps.predict import predict


def predict_control(
    run: Run, control: str, *, split: str | None = None, limit: int | None = None
) -> int:
    """Answer a split under a control of the neighbours; the set is ``control-NAME``, resumable.

    ``unguarded``: cases of the same patient and near-duplicates may come; ``swapped``: those of
    another case come. UnknownName for another control; ModelError for a run that retrieves nothing.
    """
    name, model = control_set(control), load_under(run, control)
    return predict(run, split=split, name=name, limit=limit, model=model, asked_of=control)


def control_set(control: str) -> str:
    """What a run's answers under a control are called; UnknownName if there is no such control."""
    return f"control-{require_control(control)}"


def load_under(run: Run, control: str | None = None, **how: Any) -> Model:
    """A run's model as :func:`~vesalius.steps.load.load` has it, under a control if one is named.

    ModelError where there are no neighbours to control.
    """
    model = load(run, **how)
    return under(model, control, run) if control else model


def under(model: Model, control: str, run: Run) -> Model:
    """A run's model under a control of its neighbours; ModelError where it retrieves none."""
    if not isinstance(model, Neighboured):
        what = "retrieves no cases: it has no neighbours to control"
        raise ModelError(what, where=run.path, hint="leave --control out")
    return model.with_neighbours(control)
