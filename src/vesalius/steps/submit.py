"""Submit: a run's answers as the files of ImageCLEFmedical Caption, and such files checked."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from vesalius.data.challenge import concepts_in, listed_ids, mapping_in
from vesalius.data.open import dataset_root
from vesalius.errors import DatasetError, RunError
from vesalius.evaluation.prediction_sets import prediction_sets
from vesalius.evaluation.submission.answers import submission, tasks_of
from vesalius.evaluation.submission.files import ZIP, read, task_in, write
from vesalius.evaluation.submission.forms import TASKS, Form, Task, year_of
from vesalius.evaluation.submission.rows import Submission
from vesalius.recipe import Data
from vesalius.run import Run, read_predictions
from vesalius.steps.prepare import cases

ORDERED = ".ordered"
"""What the name of a file has before its ending once its rows were put in order."""


@dataclass(frozen=True, slots=True)
class Images:
    """The images of a split in their order, and the concepts of the data set's mapping, if any."""

    ids: tuple[str, ...]
    concepts: Set[str] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """A task's rows, the file they come from, and the files that were written of them."""

    source: Path
    submission: Submission
    files: tuple[Path, ...] = ()


def images(
    data: Data | None, split: str | None, listing: Path | None = None, mapping: Path | None = None
) -> Images:
    """What a submission is checked against.

    The images are those of a file of ids, else of the data's split (by default its test split),
    all of them whatever the recipe's limits. The concepts are those of ``mapping``, else of the
    table in the data set's folder. RunError where neither names the images.
    """
    if listing is not None:
        ids = listed_ids(listing)
    elif data is not None:
        whole = data.model_copy(update={"limit": {}, "mix": ()})
        ids = tuple(case.id for case in cases(whole, split or whole.splits.test))
    else:
        hint = "give --data NAME with --root, or --ids FILE"
        raise RunError("which images the split has is not known", hint=hint)
    table = mapping or _mapping(data)
    return Images(ids, None if table is None else concepts_in(table))


def data_of(run: Run, name: str = "") -> tuple[Data, str]:
    """The data of a run and the split that its set of predictions answers."""
    data = run.recipe().data
    entry = run.status().get("predictions", {}).get(name or "test", {})
    return data, str(entry.get("split") or data.splits.test)


def submit(
    targets: Sequence[Path],
    out: Path,
    against: Images,
    *,
    year: int | None = None,
    tasks: Sequence[Task] = (),
    name: str = "",
    allow_empty: bool = False,
) -> list[Written]:
    """Write ``captions.csv`` and ``concepts.csv`` of runs or files of predictions into ``out``.

    Each task is written that a target answers (of ``tasks``, if they are given), beside it the
    archive to upload in years that have one. Nothing is written unless everything is as the year
    wants it: else DatasetError names the predictions. RunError where two targets answer one task,
    or none does.
    """
    number, ready = year_of(year), dict[Task, Written]()
    for target in targets:
        file = _file(target, name)
        for task in tasks_of(read_predictions(file), file):
            if tasks and task not in tasks:
                continue
            if task in ready:
                raise RunError(f"it has {task}, as {ready[task].source} has", where=file)
            form = Form(task, number, against.concepts, allow_empty)
            rows = submission(read_predictions(file), form, against.ids, file)
            ready[task] = Written(file, rows)
    if not ready:
        wanted = " or ".join(tasks) or "captions or concepts"
        raise RunError(f"none of the predictions are {wanted}", where=targets[0])
    return [_written(one, out / task, against.ids) for task, one in ready.items()]


def check(
    files: Sequence[Path],
    against: Images,
    *,
    year: int | None = None,
    task: Task | None = None,
    out: Path | None = None,
    allow_empty: bool = False,
) -> list[Written]:
    """Read submission files strictly; one whose rows stand in another order is written in order.

    That file is called ``NAME.ordered.csv`` (or ``.zip``) and goes into ``out``, by default beside
    the first; what was given is never changed. Any other fault is a DatasetError with its lines.
    """
    number, done = year_of(year), list[Written]()
    for path in files:
        form = Form(task or _task(path, number), number, against.concepts, allow_empty)
        rows = read(path, form, against.ids)
        ordered = (out or path.parent) / f"{path.stem}{ORDERED}{path.suffix}"
        if rows.moved:
            if any(ordered in one.files for one in done):
                hint = "check it alone, or without --out"
                raise DatasetError(f"another file is written as {ordered}", where=path, hint=hint)
            write(ordered, rows, against.ids)
        done.append(Written(path, rows, (ordered,) if rows.moved else ()))
    return done


def _task(path: Path, number: int) -> Task:
    task = task_in(path, number)
    if task is None:
        headers = [Form(one, number).header for one in TASKS]
        hint = f"it is {' or '.join(headers)} in {number}; or give --task"
        raise DatasetError("line 1 does not say which task it is of", where=path, hint=hint)
    return task


def _written(one: Written, stem: Path, ids: tuple[str, ...]) -> Written:
    endings = (".csv", ZIP) if one.submission.form.year.archive else (".csv",)
    paths = tuple(stem.with_suffix(ending) for ending in endings)
    for path in paths:
        write(path, one.submission, ids)
    return Written(one.source, one.submission, paths)


def _file(target: Path, name: str) -> Path:
    """The file of predictions of a run's folder, or the file itself."""
    if not target.is_dir():
        return target
    run = Run.open(target)
    if name not in prediction_sets(run):
        raise RunError(
            f"has no predictions called {name!r}" if name else "has no test predictions",
            where=target,
        )
    return run.predictions_file(name)


def _mapping(data: Data | None) -> Path | None:
    if data is None or data.hub:
        return None
    return mapping_in(dataset_root(data.dataset, data.root), data.options.get("year"))
