"""Options of the commands whose work many workers may share."""

from typing import Annotated

import typer

Worker = Annotated[
    bool, typer.Option("--worker", help="Do shards of the work, beside others anywhere.")
]
Merge = Annotated[
    bool, typer.Option("--merge", help="Join all shards; refuse if one is missing or twice there.")
]
ShardsAt = Annotated[
    str | None,
    typer.Option("--shards", help="Where claims and shards are: a folder or URL (s3://...)."),
]


def shared(worker: bool, merge: bool, at: str | None) -> bool:
    """Whether the work is shared; RecipeError for options that would be ignored."""
    from vesalius.errors import RecipeError

    if worker and merge:
        hint = "first workers, then, when all have ended, --merge"
        raise RecipeError("--worker and --merge are two commands", hint=hint)
    if at is not None and not (worker or merge):
        hint = "add --worker or --merge"
        raise RecipeError("--shards is of no use to one process alone", hint=hint)
    return worker or merge
