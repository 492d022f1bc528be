"""Comparison page: systems on the same cases, what they cost, and where they disagree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.errors import ImageError, RunError
from vesalius.evaluation import comparison_page as page
from vesalius.evaluation import table as side_by_side
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Spec
from vesalius.evaluation.metrics import Metric
from vesalius.evaluation.metrics.confidence import certainty
from vesalius.evaluation.metrics.localisation import Localisation
from vesalius.evaluation.pairing import aligned
from vesalius.evaluation.table import System
from vesalius.recipe import Evaluation as Settings
from vesalius.run import Run
from vesalius.steps.box_baselines import TrainingBoxes, box_baselines
from vesalius.steps.report import pictures_by_key, reading
from vesalius.steps.systems import systems
from vesalius.steps.table import metrics_of, names_of

PAGES = (".html", ".htm")
MEMORY = ("memory_peak_mb", "peak_reserved_mb", "peak_memory_mb")
"""What runs call their peak memory, the most telling first."""


def comparison_page(
    *runs: Path | str,
    out: Path | str,
    metrics: Sequence[Spec] = (),
    resamples: int | None = None,
    pictures: bool = True,
) -> Path:
    """Write one self-contained HTML page on runs or files of predictions, the baseline first.

    Every system is scored on the cases that all answered and tested against the first. Where
    references have boxes, detection and localisation are measured, and a mean box of training, a
    finding always and never stand beside the systems. ``pictures``: whether the pictures of the
    first run that is one are read, for boards, quadrants and these baselines. RunError for an
    ending that is no page's, before anything is measured.
    """
    file, paths = Path(out), [Path(run) for run in runs]
    if file.suffix.lower() not in PAGES:
        raise RunError("a page is a file that ends in .html", where=file)
    opened = {path: Run.open(path) for path in paths if path.is_dir()}
    recipes = [run.recipe() for run in opened.values()]
    settings = recipes[0].evaluation if recipes else Settings()
    names = names_of(paths)
    own = [one for path, name in zip(paths, names, strict=True) for one in systems(path, name=name)]
    first = next(iter(opened.values()), None) if pictures else None
    known = {} if first is None else pictures_by_key(first)
    shared = aligned(*(one.predictions for one in own))[0]
    sizes = _sizes(shared, known)
    training = None if first is None else TrainingBoxes.of(first.recipe().data)
    chosen = _with_boxes(list(metrics or metrics_of(recipes)), shared, sizes, named=bool(metrics))
    drawn = settings.resamples if resamples is None else resamples
    table = side_by_side.table(
        [*own, *box_baselines(shared, sizes, training)],
        chosen,
        draws=Draws(drawn, settings.level, settings.seed),
    )
    costs = {
        name: dict(_costs(one, opened.get(path)))
        for path, name, one in zip(paths, names, own, strict=True)
    }
    return page.comparison_page(table, own, costs, reading(known), file)


def _with_boxes(
    chosen: list[Spec], shared: Sequence[Prediction], sizes: Mapping[str, Any], *, named: bool
) -> list[Spec | Metric]:
    """The metrics, and those of boxes where references have any and none was named."""
    boxed = any(r.boxes is not None for p in shared for r in p.references)
    known = [spec if isinstance(spec, str) else next(iter(spec)) for spec in chosen]
    extra: list[Spec | Metric] = []
    if boxed and not named and "detection" not in known:
        extra.append("detection")
    if boxed and not named and "localisation" not in known:
        extra.append(Localisation(sizes=sizes))
    if not named and "calibration" not in known and any(map(certainty, shared)):
        extra.append("calibration")
    return [*chosen, *extra]


def _sizes(
    predictions: Sequence[Prediction], known: Mapping[str, Picture]
) -> dict[str, tuple[int, int]]:
    """Width and height of their pictures by key; those that cannot be read are left out."""
    sizes: dict[str, tuple[int, int]] = {}
    for key in {one.picture for one in predictions if one.picture in known}:
        try:
            sizes[str(key)] = known[str(key)].size()
        except ImageError:
            continue
    return sizes


def _costs(system: System, run: Run | None) -> Iterator[tuple[str, str]]:
    """What was recorded: seconds a case, peak memory, parameters, time to fit."""
    seconds = [one.usage.seconds for one in system.predictions if one.usage is not None]
    if seconds:
        yield "seconds a case (median)", f"{median(seconds):.3g}"
    status = {} if run is None else run.status()
    if "parameters" in status:
        yield "parameters", f"{status['parameters']:,}"
    elif parts := status.get("parts"):
        counts = (part.get("parameters", 0) for part in parts.values())
        yield "parameters", f"{sum(counts):,}"
    memory = next((status[key] for key in MEMORY if key in status), None)
    if memory is not None:
        yield "peak memory of fitting", f"{memory:,.0f} MB"
    if isinstance(status.get("seconds"), int | float):
        yield "seconds to fit", f"{status['seconds']:,.0f}"
