"""``vesalius data convert``: a set's pictures and boxes in another program's format."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vesalius.cli.data_options import Hub, Name, Options, Root, SplitFile, opened

if TYPE_CHECKING:
    from vesalius.data.convert import Converted


def convert(
    name: Name,
    out: Annotated[Path, typer.Argument(help="The new folder.")],
    to: Annotated[str, typer.Option(help="coco, yolo, via or voc.")],
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", help="The table of classes: NAME, or NAME=NUMBER; again for each."),
    ] = None,
) -> None:
    """Write a set's pictures and boxes as COCO, YOLO, VIA or Pascal VOC."""
    from rich.console import Console

    from vesalius.data.convert import convert as step

    table = _numbers(classes) if classes else None
    done = step(opened(name, root, hub, options, split_file), out, to, classes=table)
    Console(soft_wrap=True).print(_text(done, to, out), highlight=False, markup=False)


def _numbers(texts: list[str]) -> dict[str, int | None]:
    """``NAME`` or ``NAME=NUMBER`` texts as a table; RecipeError for a name that stands twice."""
    from vesalius.errors import RecipeError

    table: dict[str, int | None] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        numbered = bool(name) and number.isdecimal()
        own = name if numbered else text
        if own in table:
            raise RecipeError(f"the class {own!r} stands twice", where="--class")
        table[own] = int(number) if numbered else None
    return table


def _text(done: "Converted", to: str, out: Path) -> str:
    """What was written, the table of classes, and in one line what the format does not hold."""
    lines = [f"{split}: {number} pictures" for split, number in done.pictures.items()]
    lines.append(f"{done.boxes} boxes; {done.negatives} pictures without one, as negatives")
    named = [name if n is None else f"{n} {name}" for name, n in done.classes.items()]
    lines.append(f"classes: {', '.join(named) or 'none'}")
    if done.as_decoded:
        lines.append(f"{done.as_decoded} pictures are written as decoded (PNG), all others copied")
    lost = ", ".join(f"{number} {what}" for what, number in done.losses.items())
    lines.append(f"{to} does not hold: {lost}" if lost else "nothing was left out")
    return "\n".join([*lines, f"read it with: vesalius data check folder --root {out}"])
