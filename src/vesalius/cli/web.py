"""web: the chat page and the API beneath it."""

from typing import Annotated

import typer

from vesalius.cli.panels import SERVE
from vesalius.cli.serve import (
    AbstainBelow,
    Endpoint,
    FittedRun,
    OtherModel,
    Replay,
    Reviewed,
    ReviewedWith,
    StateFolder,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=SERVE)(web)


def web(
    run: FittedRun = None,
    model: OtherModel = None,
    endpoint: Endpoint = None,
    replay: Replay = None,
    api_url: Annotated[
        str | None, typer.Option(help="A service that runs already: starts the page alone.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the API; 0 chooses a free one.")] = 8000,
    web_port: Annotated[int, typer.Option(help="Of the page; 0 chooses a free one.")] = 8501,
    host: Annotated[
        str, typer.Option(help="Of the page; beyond loopback it must know who is at it.")
    ] = "127.0.0.1",
    state: StateFolder = None,
    abstain_below: AbstainBelow = None,
    review: Reviewed = None,
    review_with: ReviewedWith = None,
) -> None:
    """The chat page and its API together, until Ctrl-C; if one dies the other is stopped."""
    from vesalius.service.web.start import Wish, run_together

    given = {
        "run": run,
        "model": model,
        "endpoint": endpoint,
        "replay": replay,
        "state": state,
        "abstain-below": abstain_below,
        "review": review,
        "review-with": review_with,
    }
    options = {name: str(value) for name, value in given.items() if value is not None}
    run_together(Wish(options, api_url, port, host, web_port), _announce)


def _announce(url: str) -> None:
    typer.echo(f"open {url} (Ctrl-C stops it)")
    typer.echo("Research use only; not a medical device.", err=True)
