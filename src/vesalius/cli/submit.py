"""``vesalius submit``: the files of ImageCLEFmedical Caption, written or checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vesalius.cli.panels import EVALUATE

if TYPE_CHECKING:
    from vesalius.recipe import Data
    from vesalius.steps.submit import Written


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(submit)


def submit(
    targets: Annotated[
        list[Path],
        typer.Argument(help="Runs or JSON-lines files of predictions; with --check, submissions."),
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Read submission files (CSV or zip) strictly instead.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder for the files; default: submission.")
    ] = None,
    year: Annotated[
        int | None, typer.Option(help="Whose form it is: 2023 to 2026; default: the latest.")
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="captions or concepts alone; default: what is there.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--data", help="The data set's name; default: the run's data.")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Its folder.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="A reader option, e.g. year=2024.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="The split of the images; default: the one answered, or test."),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="A file of the images' ids instead of a data set: a table, or one a line."
        ),
    ] = None,
    mapping: Annotated[
        Path | None,
        typer.Option(help="A table of the concepts there are; default: the data set's own."),
    ] = None,
    name: Annotated[str, typer.Option(help="A run's set of predictions of that name.")] = "",
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Let captions be empty; they are counted.")
    ] = False,
) -> None:
    """Write predictions as a submission to ImageCLEFmedical Caption, or check such files."""
    from vesalius.errors import UnknownName
    from vesalius.evaluation.submission.forms import TASKS, year_of
    from vesalius.steps import submit as step

    number = year_of(year)
    chosen = next((one for one in TASKS if one == task), None)
    if task is not None and chosen is None:
        raise UnknownName("task", task, TASKS, where="--task")
    data = _data(dataset, root, options)
    if data is None and ids is None and not check and targets[0].is_dir():
        from vesalius.run import Run

        data, answered = step.data_of(Run.open(targets[0]), name)
        split = split or answered
    against = step.images(data, split, ids, mapping)
    if check:
        done = step.check(
            targets, against, year=number, task=chosen, out=out, allow_empty=allow_empty
        )
    else:
        done = step.submit(
            targets,
            out or Path("submission"),
            against,
            year=number,
            tasks=[chosen] if chosen else (),
            name=name,
            allow_empty=allow_empty,
        )
    for one in done:
        typer.echo(_line(one, written=not check))
    if against.concepts is None and any(one.submission.form.task == "concepts" for one in done):
        typer.echo("no table of concepts was at hand: CUIs are not looked up (--mapping FILE)")


def _data(name: str | None, root: Path | None, options: list[str] | None) -> "Data | None":
    from vesalius.cli.data_options import pairs
    from vesalius.errors import RecipeError
    from vesalius.recipe import Data
    from vesalius.settings import validated

    if name is None:
        if root is not None or options:
            raise RecipeError("--root and --set belong to a data set", where="--data")
        return None
    content = {"dataset": name, "root": root and str(root), "options": pairs(options or [])}
    return validated(Data, content, where="--data")


def _line(one: "Written", *, written: bool) -> str:
    """What was read or written of one task, and what a reader must know of it."""
    rows = one.submission
    parts = [f"{len(rows.values):,} images, form of {rows.form.number}"]
    if rows.empty:
        what = "without a concept" if rows.form.task == "concepts" else "with an empty caption"
        parts.append(f"{rows.empty:,} {what}")
    files = ", ".join(map(str, one.files))
    if rows.moved:
        parts.append(f"{rows.moved:,} rows stood at another place and were put in order")
    done = f"; wrote {files}" if files else ""
    start = f"{rows.form.task} of {one.source}" if written else f"{one.source}: {rows.form.task}"
    return f"{start}: {', '.join(parts)}{done}"
