"""``vesalius data export``: a set as a folder for the Hugging Face hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vesalius.cli.data_options import Hub, Name, Options, Root, SplitFile, opened

if TYPE_CHECKING:
    from vesalius.data.hub_export import Exported


def export(
    name: Name,
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    hub_folder: Annotated[
        bool,
        typer.Option(
            "--hub-folder/--parquet", help="An imagefolder with metadata, or Parquet files."
        ),
    ] = True,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
) -> None:
    """Write a set as a folder that the Hugging Face hub and load_dataset take."""
    from rich.console import Console

    from vesalius.data.cards import card_or_none
    from vesalius.data.hub_export import export_hub_folder

    dataset = opened(name, root, hub, options, split_file)
    done = export_hub_folder(dataset, out, card=card_or_none(name), parquet=not hub_folder)
    Console(soft_wrap=True).print(_text(done, out), highlight=False, markup=False)


def _text(done: "Exported", out: Path) -> str:
    """What was written, and in one line what rows of the hub's do not hold."""
    lines = [
        f"{split}: {rows} rows, {done.pictures[split]} pictures"
        for split, rows in done.rows.items()
    ]
    if done.as_decoded:
        lines.append(f"{done.as_decoded} pictures are written as decoded (PNG), all others copied")
    lost = ", ".join(f"{number} {what}" for what, number in done.losses.items())
    lines.append(f"not written: {lost}" if lost else "nothing was left out")
    lines.append("group names patients as the set does: look at it before you upload")
    return "\n".join([*lines, f"read it with: datasets.load_dataset({str(out)!r})"])
