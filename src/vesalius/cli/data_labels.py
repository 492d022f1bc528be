"""``vesalius data audit --labels``: boxes that detectors contradict, ranked, with the pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.cases.case import Box, Case
    from vesalius.data.datasets import Dataset
    from vesalius.evaluation.label_faults import LabelFault


def audit_labels(dataset: "Dataset", runs: Sequence[Path], out: Path, limit: int) -> None:
    """Print the ``limit`` most suspect labels and write a sheet of their pictures to ``out``."""
    from collections import Counter

    from rich.console import Console
    from rich.markup import escape

    from vesalius.data.sheet import sheet_html, sheet_png
    from vesalius.evaluation.label_faults import label_faults, unseen_predictions
    from vesalius.system.files import write_atomic

    predictions = [one for path in runs for one in unseen_predictions(path)]
    faults = label_faults(predictions)
    console = Console(soft_wrap=True)
    for fault in faults[:limit]:
        place = _place(fault.truth or fault.predicted)
        line = f"[yellow]{fault.kind}[/yellow] {fault.suspicion:.2f} "
        console.print(line + escape(f"{fault.prediction.case}: {place}"), highlight=False)
    counts = ", ".join(f"{n} {kind}" for kind, n in Counter(f.kind for f in faults).items())
    words = f"{counts or 'no label is suspect'}, of {len(predictions)} pictures"
    console.print(words, highlight=False)
    pages = _marked(dataset, faults[:limit])
    if pages:
        page = out.suffix.lower() in (".html", ".htm")
        write_atomic(out, sheet_html(pages, title="Labels") if page else sheet_png(pages))
        console.print(f"wrote {out}")


def detectors(named: Sequence[Path], place: Mapping[str, Any], out: Path, folds: int) -> list[Path]:
    """The runs and files that are named; in the place of a recipe its cross-fitted runs.

    These are of the data set at ``place``, a recipe's ``data`` in part, and lie in ``<out>-folds``
    beside the sheet. Without options of the command, those of a recipe for the same set count.
    """
    from vesalius.recipe import load_recipe
    from vesalius.steps.cross_fit import cross_fit

    paths: list[Path] = []
    for path in named:
        if path.suffix.lower() not in (".yaml", ".yml"):
            paths.append(path)
            continue
        recipe = load_recipe(path)
        same = recipe.data.dataset == place["dataset"]
        own = place["options"] or (recipe.data.options if same else {})
        data = recipe.data.model_copy(update={**place, "options": own})
        folder = out.with_name(f"{out.stem}-folds")
        runs = cross_fit(recipe.model_copy(update={"data": data}), folder, folds)
        paths += [run.path for run in runs]
    return paths


def _place(box: "Box | None") -> str:
    return (
        "" if box is None else f"{box.label} [{box.x:g}, {box.y:g}, {box.width:g}, {box.height:g}]"
    )


def _marked(dataset: "Dataset", faults: "Sequence[LabelFault]") -> "list[Case]":
    """The faults' cases in their order, each with its boxes and the one that contradicts them.

    Looked for by id in all splits; DatasetError where the data set has no such case.
    """
    from vesalius.errors import DatasetError

    wanted = {fault.prediction.case for fault in faults}
    cases = {c.id: c for s in dataset.splits() for c in dataset.cases(s) if c.id in wanted}
    absent = next((name for name in sorted(wanted) if name not in cases), None)
    if absent is not None:
        hint = "name the set that the runs predicted"
        raise DatasetError(f"case {absent!r} is not in the data set", hint=hint)
    return [_suspect(cases[fault.prediction.case], fault) for fault in faults]


def _suspect(case: "Case", fault: "LabelFault") -> "Case":
    """The case with its boxes alone: the suspect one is called so, the detector's is added."""
    boxes = [
        replace(box, label=f"{fault.kind}? {box.label}") if box == fault.truth else box
        for box in case.boxes or ()
    ]
    words = f"{fault.kind}, suspicion {fault.suspicion:.2f}"
    return replace(
        case,
        caption=f"{words}: {_place(fault.truth or fault.predicted)}",
        boxes=(*boxes, *([] if fault.predicted is None else [fault.predicted])),
        questions=(),
        concepts=None,
        context={},
    )
