"""parity."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.panels import EVALUATE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(parity)


def parity(
    run: Annotated[Path, typer.Argument(help="The fitted run whose weights the server serves.")],
    server: Annotated[str, typer.Option(help="The server's URL, as http://127.0.0.1:8000/v1.")],
    model: Annotated[
        str | None, typer.Option(help="The run's name there; default: the only adapter, or model.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="The base's name there; default: the adapter's parent.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="So many items of the test split.")] = 32,
    split: Annotated[str | None, typer.Option(help="Default: the recipe's test split.")] = None,
    agreement: Annotated[
        float, typer.Option(min=0, max=1, help="The least share of equal answers.")
    ] = 0.9,
    logprob: Annotated[
        float, typer.Option(min=0, help="The most by which log-probabilities may differ (nats).")
    ] = 0.1,
    key_env: Annotated[
        str | None, typer.Option(help="The environment variable that holds the server's key.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="The server may be another machine: pictures go there.")
    ] = False,
) -> None:
    """Hold a server of a run's weights against the run; exit code 1 unless it answers alike."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table
    from vesalius.evaluation.engine_parity import Bounds
    from vesalius.models.endpoint import EndpointSettings
    from vesalius.run import Run
    from vesalius.settings import validated
    from vesalius.steps.parity import prove

    named = {"base_url": server, "model": model, "key_env": key_env, "remote": remote}
    settings = validated(EndpointSettings, named, where="--server")
    fitted, console = Run.open(run), Console()
    bounds = Bounds(agreement, logprob)
    found = prove(fitted, settings, base=base, items=items, split=split, bounds=bounds)
    console.print(facts_table(f"{fitted.name} and the server", found.facts()))
    style = "red" if found.faults else "green"
    console.print(found.verdict, style=style, markup=False, highlight=False, soft_wrap=True)
    if found.faults:
        raise typer.Exit(1)
