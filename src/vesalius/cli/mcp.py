"""mcp."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.panels import SERVE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=SERVE)(mcp)


def mcp(
    folder: Annotated[
        list[Path], typer.Option(help="A folder whose runs, data and pictures agents may name.")
    ],
    write: Annotated[
        bool, typer.Option("--write", help="Steps may save there what they make: scores.json.")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1, help="The longest that a call may take.")] = 3600,
) -> None:
    """Serve the steps as tools for agents (MCP, over standard input and output), read-only."""
    from importlib.util import find_spec

    from vesalius.errors import MissingExtra
    from vesalius.service.mcp.folders import Folders

    if find_spec("mcp") is None:
        raise MissingExtra("mcp", "mcp")
    folders = Folders.of(folder, write=write)
    from vesalius.service.mcp.server import serve

    serve(folders, seconds=seconds)
