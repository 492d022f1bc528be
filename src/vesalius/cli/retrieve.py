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
            "--others", help="Leave out this very picture, if trained on, and its patient."
        ),
    ] = False,
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
) -> None:
    """Show the training cases whose pictures are most like one, and what was said of them."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table
    from vesalius.errors import VesaliusError
    from vesalius.run import Run

    fitted, console = Run.open(run), Console()
    if image is None and not build:
        raise VesaliusError("names no picture", where="vesalius retrieve", hint="or say --build")
    if not build and (encoder is not None or thumbnails is not None):
        what = "--encoder and --thumbnails belong to --build"
        raise VesaliusError(what, where="vesalius retrieve")
    if build:
        facts = _built(fitted, encoder, thumbnails)
        quiet = as_json and image is not None
        if not quiet:
            console.print(facts_table(f"{fitted.name}: index of similar cases", facts))
    if image is not None:
        from vesalius.steps.retrieve import retrieve as step

        _show(console, step(fitted, image, neighbours, others=others), as_json=as_json)


def _built(run: "Run", encoder: str | None, thumbnails: int | None) -> dict[str, Any]:
    from vesalius.recipe import Retrieve
    from vesalius.settings import validated
    from vesalius.steps.retrieve import build as step
    from vesalius.steps.retrieve import index_settings

    options = {"encoder": encoder, "thumbnails": thumbnails}
    changed = {key: value for key, value in options.items() if value is not None}
    settings = index_settings(run).model_dump()
    return step(run, validated(Retrieve, settings | changed, where="--build"))


def _show(console: Any, neighbours: "Sequence[Neighbour]", *, as_json: bool) -> None:
    import json
    from dataclasses import asdict

    from vesalius.combine.retrieve import same_picture

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
