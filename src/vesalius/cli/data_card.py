"""``vesalius data card``: a set's card, for the terminal or as Croissant."""

from pathlib import Path
from typing import Annotated

import typer

from vesalius.cli.data_cards import card_text
from vesalius.cli.data_options import Hub, Name, Options, Root, SplitFile, opened, pairs


def card(
    name: Name,
    croissant: Annotated[
        Path | None,
        typer.Option(help="Write it as Croissant 1.1 with RAI to this file (JSON-LD)."),
    ] = None,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
) -> None:
    """Show a data set's card, or write it as Croissant with its files and splits."""
    from rich.console import Console

    from vesalius.data.cards import card as card_of
    from vesalius.data.croissant.card import croissant_card
    from vesalius.data.open import ROOTLESS, dataset_root, lies_at
    from vesalius.system.files import write_json

    console = Console(soft_wrap=True)
    if croissant is None:
        console.print(card_text(name))
        return
    entry = card_of(name)
    # Of a set that is not here the card alone can tell.
    here = hub is None and (root is not None or name in ROOTLESS or lies_at(name) != "not found")
    dataset = opened(name, root, hub, options, split_file) if here or hub else None
    folder = dataset_root(name, root) if here else None
    result = croissant_card(
        entry, dataset, root=folder, options=pairs(options or []), without=croissant
    )
    write_json(croissant, result.content)
    lines = [f"wrote {croissant}", *(f"left out: {words}" for words in result.omissions)]
    if folder is not None and croissant.resolve().parent != folder.resolve():
        lines.append(f"files are named as they lie in {folder}: the card belongs there")
    console.print("\n".join(lines), highlight=False, markup=False)
