"""ablate."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.evaluation import Metrics, Resamples, metric_specs
from vesalius.cli.panels import EVALUATE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(ablate)


def ablate(
    run: Annotated[Path, typer.Argument(help="A fitted combination with predictions.")],
    least: Annotated[int, typer.Option(min=1, help="The smallest set of members.")] = 2,
    metric: Metrics = None,
    resamples: Resamples = None,
    out: Annotated[
        list[Path] | None, typer.Option(help="Write the table as .md, .csv or .json.")
    ] = None,
) -> None:
    """Put a combination beside itself over each smaller set of its members, none asked again."""
    from rich.console import Console

    from vesalius.cli.table import print_table
    from vesalius.evaluation.table_files import form_of, write_table
    from vesalius.run import Run
    from vesalius.steps.ablate import ablate as step

    for file in out or ():  # an ending that names no form is known before anything is fitted
        form_of(file)
    table = step(Run.open(run), least=least, metrics=metric_specs(metric), resamples=resamples)
    for file in out or ():
        write_table(table, file)
    print_table(Console(), table)
