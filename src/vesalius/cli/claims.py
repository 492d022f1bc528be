"""claim."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.panels import EVALUATE

_STYLES = {"shown": "green", "refuted": "red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(claim)


def claim(
    run: Annotated[Path, typer.Argument(help="A run with claims and predictions.")],
    save: Annotated[Path | None, typer.Option(help="Also write the verdicts here (JSON).")] = None,
) -> None:
    """Check what a recipe claimed, by paired intervals; exit code 1 unless all of it is shown."""
    from rich.console import Console

    from vesalius.errors import RunError
    from vesalius.run import Run
    from vesalius.steps.claim import check_claims
    from vesalius.steps.coverage import answer_remarks
    from vesalius.system.files import write_json

    fitted, console = Run.open(run), Console()
    verdicts = check_claims(fitted)
    if not verdicts:
        hint = "write claims: [{better_than: RUN, metric: squad.em}] into the recipe, and fit again"
        raise RunError("states no claim", where=run, hint=hint)
    for verdict in verdicts:
        style = _STYLES.get(verdict.outcome, "yellow")
        console.print(str(verdict), style=style, markup=False, highlight=False, soft_wrap=True)
        console.print(f"  stated {verdict.stated}", style="dim", highlight=False)
    rows = list(fitted.predictions()) if fitted.predictions_file().exists() else []
    for sentence in answer_remarks(fitted, rows) if rows else ():
        console.print(sentence, style="yellow", markup=False, highlight=False)
    if save is not None:
        write_json(save, [verdict.to_json() for verdict in verdicts])
    if any(verdict.outcome != "shown" for verdict in verdicts):
        raise typer.Exit(1)
