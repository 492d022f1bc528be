"""What the commands on data sets share: the options that name one, and how their texts are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vesalius.data.datasets import Dataset

Name = Annotated[str, typer.Argument(help="The data set's name (vesalius data list).")]
Root = Annotated[Path | None, typer.Option(help="Its folder; default $VESALIUS_DATA/NAME.")]
Hub = Annotated[str | None, typer.Option(help="A hub id, or 'card' for the id on the card.")]
Options = Annotated[
    list[str] | None, typer.Option("--set", help="A reader option, e.g. language=all.")
]
SplitFile = Annotated[Path | None, typer.Option(help="Use these splits (JSON lines: id, split).")]
Fractions = Annotated[str, typer.Option(help="Shares of the cases.")]
Seed = Annotated[int, typer.Option(help="Another seed, another split.")]


def opened(
    name: str,
    root: Path | None,
    hub: str | None,
    options: list[str] | None,
    split_file: Path | None,
) -> "Dataset":
    """The data set that the options name."""
    from vesalius.data.open import open_dataset

    place: bool | str = True if hub == "card" else hub or False
    return open_dataset(name, root, place, pairs(options or []), split_file=split_file)


def pairs(texts: list[str], where: str = "--set") -> dict[str, Any]:
    """``key=value`` texts as a mapping; RecipeError names ``where`` they stand."""
    from vesalius.settings import pair

    return dict(pair(text, where) for text in texts)


def sample_size(text: str) -> int | None:
    """How many pictures are searched for text; None for all of them."""
    from vesalius.errors import RecipeError

    if text == "all":
        return None
    if not text.isdecimal():
        raise RecipeError(f"a number of pictures, or all, not {text!r}", where="--text-sample")
    return int(text)


def shares_of(text: str) -> dict[str, float]:
    """Shares by split of ``train=0.8,test=0.2``; RecipeError if one is no number."""
    from vesalius.errors import RecipeError

    shares = pairs(text.split(","), "--fractions")
    if not all(isinstance(share, int | float) for share in shares.values()):
        raise RecipeError(f"fractions are numbers: {text!r}")
    return {name: float(share) for name, share in shares.items()}
