"""Table: runs side by side on the cases that all of them answered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vesalius.cases.tasks import task_of
from vesalius.evaluation import table as side_by_side
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.table import Table
from vesalius.recipe import Evaluation as Settings
from vesalius.recipe import Recipe
from vesalius.run import FrequentAnswer, Run
from vesalius.steps.systems import systems

CAPTION = task_of("caption")
CAPTION_METRICS = ("bertscore", "rouge", "bleurt", "bleu", "caption_facts")
"""The columns of published captioning tables, and what they miss."""


def table(
    *runs: Path | str,
    metrics: Sequence[Spec] = (),
    baseline: str | None = None,
    members: bool = False,
    resamples: int | None = None,
) -> Table:
    """Score runs (or JSON-lines files of predictions) side by side, and test them against one.

    Metrics are those named, else those of published caption tables where a run makes captions, and
    those of the runs' recipes. ``members``: the members of combined runs, and what they agree on
    most, get rows of their own before the run, ``RUN/MEMBER``. Level and seed are the first run's.
    NotComparable where fewer than two rows or no shared case are left.
    """
    paths = [Path(run) for run in runs]
    recipes = [Run.open(path).recipe() for path in paths if path.is_dir()]
    settings = recipes[0].evaluation if recipes else Settings()
    rows = [
        system
        for path, name in zip(paths, names_of(paths), strict=True)
        for system in systems(path, members=members, name=name)
    ]
    drawn = settings.resamples if resamples is None else resamples
    return side_by_side.table(
        rows,
        metrics or metrics_of(recipes),
        baseline=baseline,
        draws=Draws(drawn, settings.level, settings.seed),
        trained=_trained(paths),
    )


def _trained(paths: Sequence[Path]) -> FrequentAnswer | None:
    """What training says most, where the runs agree on it."""
    known = {Run.open(path).frequent_answer() for path in paths if path.is_dir()}
    return known.pop() if len(known) == 1 else None


def metrics_of(recipes: Sequence[Recipe]) -> list[Spec]:
    """What the runs' recipes measure, a metric once; captions as published tables do, too.

    Where recipes differ in a metric's parameters, the first one's hold for every row.
    """
    own: dict[str, Spec] = {}
    for settings in [recipe.evaluation for recipe in recipes] or [Settings()]:
        for spec in settings.metrics:
            own.setdefault(spec if isinstance(spec, str) else next(iter(spec)), spec)
    captions = any(task_of(recipe.data.task) == CAPTION for recipe in recipes)
    first = {name: own.pop(name, name) for name in (CAPTION_METRICS if captions else ())}
    return [*first.values(), *own.values()]


def names_of(paths: Sequence[Path]) -> list[str]:
    """Folders' or files' own names; whole paths where two would be called alike."""
    names = [path.resolve().name if path.is_dir() else path.stem for path in paths]
    alike = len(set(names)) < len(names)
    return [path.as_posix() for path in paths] if alike else names
