"""review: answers as one page for experts who cannot reach the service."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.panels import EVALUATE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(review)


def review(
    runs: Annotated[list[Path], typer.Argument(help="Runs whose answers are shuffled together.")],
    out: Annotated[Path, typer.Option(help="Folder for review.html and ratings.csv.")],
    size: Annotated[int, typer.Option(min=1, help="At most so many questions.")] = 50,
    references: Annotated[
        bool, typer.Option("--references", help="Shuffle the references in, as one more system.")
    ] = False,
) -> None:
    """Write a blinded review as one HTML page and a table, for experts without the service."""
    from vesalius.run import Run
    from vesalius.steps.review import PAGE, TABLE, review_package

    count = review_package([Run.open(path) for path in runs], size, out, references=references)
    typer.echo(f"{count} answers in {out / PAGE}; who prefers a table: {out / TABLE}")
    typer.echo("next: vesalius agree RATINGS.csv --run RUN")
