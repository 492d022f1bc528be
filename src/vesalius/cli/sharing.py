"""Options of the commands whose work many workers may share."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vesalius.data.datasets import Dataset
    from vesalius.data.shared_inspection import Inspections

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


def inspections(
    dataset: "Dataset", worker: bool, merge: bool, at: str | None
) -> "Inspections | None":
    """What workers saw of a data set's pictures, to be taken; None for one process alone.

    A worker's command ends here. RecipeError where no place is named.
    """
    from vesalius.data.shared_inspection import SharedInspection
    from vesalius.errors import RecipeError

    if not shared(worker, merge, at):
        return None
    if at is None:
        hint = "--shards FOLDER or URL; not among the data"
        raise RecipeError("name a place that all workers see", where="--shards", hint=hint)
    job = SharedInspection(dataset, at)
    if worker:
        job.work()
        typer.echo("next: the same command with --merge for --worker")
        raise typer.Exit
    return job.merged()
