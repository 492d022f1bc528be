"""``vesalius retrieve``: similar cases from a run's index."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import COMBINE

if TYPE_CHECKING:
    from rich.table import Table

    from vesalius.cases.prediction import Neighbour
    from vesalius.run import Run


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=COMBINE)(retrieve)


def retrieve(
    run: Annotated[Path, typer.Option("--run", help="The run's folder.")],
    image: Annotated[
        Path | None, typer.Argument(help="A picture: PNG, JPEG, WebP, TIFF, BMP or DICOM.")
    ] = None,
    neighbours: Annotated[
        int | None, typer.Option(min=1, help="At most so many cases; default: the recipe's.")
    ] = None,
    others: Annotated[
        bool,
        typer.Option(
            "--others", help="Leave out this very picture, if trained on, copies, its patient."
        ),
    ] = False,
    text: Annotated[
        str | None, typer.Option(help="Search by words: the cases of which the like was said.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="With --text: the cases that look like it.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write the query and its neighbours as a page; with --split of many."),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Tell how many neighbours each threshold leaves.")
    ] = False,
    split: Annotated[
        str | None, typer.Option(help="The split that --sweep or --sheet asks about.")
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(min=-1.0, max=1.0, help="With --sweep: one more.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="With --sweep: write table and plots as a page.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    build: Annotated[
        bool,
        typer.Option("--build", help="Make (or replace) the index first; nothing is refitted."),
    ] = False,
    encoder: Annotated[
        str | None, typer.Option(help="With --build: another image encoder.")
    ] = None,
    thumbnails: Annotated[
        int | None,
        typer.Option(min=0, max=1024, help="With --build: thumbnails of so many pixels."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="With --build: a key of the block, e.g. index.kind=ivf."),
    ] = None,
) -> None:
    """Show the training cases whose pictures are most like one, and what was said of them."""
    from rich.console import Console

    from vesalius.run import Run

    of_split = sheet is not None and split is not None
    query = image is not None or text is not None
    _require(
        (not (query or build or sweep or of_split), "names no picture"),
        (image is not None and text is not None, "names a picture and a text; ask for one"),
        (pictures and text is None, "--pictures belongs to --text"),
        (split is not None and not (sweep or sheet), "--split belongs to --sweep or --sheet"),
        (bool(threshold or plot) and not sweep, "--threshold and --plot belong to --sweep"),
        (sheet is not None and not (query or split), "--sheet needs a picture, --text or --split"),
        (
            not build and any(one is not None for one in (encoder, thumbnails, overrides)),
            "--encoder, --thumbnails and --set belong to --build",
        ),
    )
    fitted, console = Run.open(run), Console(quiet=as_json)
    if build:
        options = {"encoder": encoder, "thumbnails": thumbnails}
        _build(console, fitted, options, overrides or [])
    if sweep:
        _sweep(console, fitted, split, threshold or [], plot, as_json=as_json)
    if of_split:
        _write_split_sheet(console, fitted, sheet, str(split))
    if query:
        near = _neighbours(fitted, image, text, neighbours, others=others, pictures=pictures)
        _show(console, near, as_json=as_json)
        if sheet is not None and not of_split:
            _write_sheet(console, fitted, sheet, image, text, near)


def _require(*faults: tuple[bool, str]) -> None:
    from vesalius.errors import VesaliusError

    for wrong, what in faults:
        if wrong:
            hint = "or say --build, --text, --sweep" if what == "names no picture" else None
            raise VesaliusError(what, where="vesalius retrieve", hint=hint)


def _neighbours(
    run: "Run",
    image: Path | None,
    text: str | None,
    k: int | None,
    *,
    others: bool,
    pictures: bool,
) -> "tuple[Neighbour, ...]":
    from vesalius.steps.retrieve import retrieve as by_picture
    from vesalius.steps.retrieve import retrieve_by_words

    if image is not None:
        return by_picture(run, image, k, others=others)
    return retrieve_by_words(run, text or "", k, pictures=pictures)


def _write_sheet(
    console: Any,
    run: "Run",
    path: Path,
    image: Path | None,
    text: str | None,
    neighbours: "Sequence[Neighbour]",
) -> None:
    from vesalius.cases.picture import Picture
    from vesalius.steps.retrieval_report import query_sheet

    picture = None if image is None else Picture.from_file(image)
    name = text or (image.name if image is not None else "")
    _write(console, path, query_sheet(run, name, picture, neighbours))


def _write(console: Any, path: Path | None, page: str) -> None:
    from rich.markup import escape

    from vesalius.system.files import write_atomic

    if path is not None:
        write_atomic(path, page)
        console.print(f"wrote {escape(str(path))}", soft_wrap=True)


def _sweep(
    console: Any,
    run: "Run",
    split: str | None,
    thresholds: list[float],
    plot: Path | None,
    *,
    as_json: bool,
) -> None:
    import json

    from rich.table import Table

    from vesalius.steps.retrieval_report import sweep_page, sweep_split

    result = sweep_split(run, split, thresholds)
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    else:
        table = Table("threshold", "with a neighbour", "share", "neighbours a query", box=None)
        for row in result.rows:
            counts = f"{row.with_neighbours} of {row.queries}"
            table.add_row(f"{row.threshold:.3g}", counts, f"{row.share:.3f}", f"{row.mean:.2f}")
        console.print(table)
        bars = Table("similarity", "nearest case", "all", box=None)
        for bar in result.bars:
            bars.add_row(f"{bar.low:.2f} to {bar.high:.2f}", str(bar.nearest), str(bar.all))
        console.print(bars)
    _write(console, plot, sweep_page(result, run.name) if plot else "")


def _write_split_sheet(console: Any, run: "Run", path: Path | None, split: str) -> None:
    from vesalius.steps.retrieval_report import split_sheet

    _write(console, path, split_sheet(run, split))


def _build(console: Any, run: "Run", options: dict[str, Any], overrides: list[str]) -> None:
    from vesalius.cli.plain import facts_table
    from vesalius.recipe import Retrieve
    from vesalius.settings import overridden, validated
    from vesalius.steps.retrieve import build as step
    from vesalius.steps.retrieve import index_settings

    changed = {key: value for key, value in options.items() if value is not None}
    settings = overridden(index_settings(run).model_dump() | changed, overrides)
    facts = step(run, validated(Retrieve, settings, where="--build"))
    console.print(facts_table(f"{run.name}: index of similar cases", facts))


def _show(console: Any, neighbours: "Sequence[Neighbour]", *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from vesalius.combine.retrieval.retrieve import same_picture

    if as_json:
        rows = [{**asdict(one), "same_picture": same_picture(one)} for one in neighbours]
        typer.echo(json.dumps({"neighbours": rows}, ensure_ascii=False, indent=2))
        return
    if not neighbours:
        console.print("no training case is similar enough (retrieve.threshold in the recipe)")
        return
    console.print(_table(neighbours))
    if any(map(same_picture, neighbours)):
        console.print("A similarity of 1: this very picture was trained on.")
    console.print("Research use only; not a medical device.", style="dim")


def _table(neighbours: "Sequence[Neighbour]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 1, 0))
    table.add_column("case", overflow="fold")
    table.add_column("similarity", justify="right")
    table.add_column("what was said", overflow="fold")
    for one in neighbours:
        # Rounded down, so that only the picture itself shows as 1.
        similarity = f"{int(one.similarity * 1000) / 1000:.3f}" if one.similarity < 0.9999 else "1"
        table.add_row(escape(one.case), similarity, escape(one.text or ""))
    return table
