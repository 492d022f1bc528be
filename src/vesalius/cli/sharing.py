"""Options of the commands whose work many workers may share."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from vesalius.data.datasets import Dataset
    from vesalius.data.shared_inspection import Inspections, SharedInspection
    from vesalius.system.ray_engine import Job

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
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine", help="ray: workers started by Ray, here or at $RAY_ADDRESS, then the merge."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="With --engine: so many; default: one a GPU, or core."),
]
J = TypeVar("J", bound="Job")


@dataclass(frozen=True, slots=True)
class Sharing:
    """In which way a command's work is shared."""

    worker: bool
    engine: str | None
    workers: int | None
    at: str | None

    def job(self, make: Callable[[], J]) -> J:
        """The job, ready to be joined; the command of a worker ends here.

        ``make`` can be pickled: processes elsewhere make the same job.
        """
        if self.engine:
            from vesalius.system.ray_engine import run_on_ray

            return run_on_ray(make, self.workers)
        job = make()
        if self.worker:
            with _leaving():
                job.work()
            typer.echo("next: the same command with --merge for --worker")
            raise typer.Exit
        return job


@contextmanager
def _leaving() -> Iterator[None]:
    """SIGTERM, by which schedulers take machines back, ends the work as an error: it gives up."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def sharing(
    worker: bool, merge: bool, at: str | None, engine: str | None, workers: int | None = None
) -> Sharing | None:
    """How the work is shared, None where it is not; RecipeError for options that contradict."""
    from vesalius.errors import RecipeError, UnknownName

    if engine not in (None, "ray"):
        raise UnknownName("engine", engine, ("ray",))
    if worker and merge:
        hint = "first workers, then, when all have ended, --merge"
        raise RecipeError("--worker and --merge are two commands", hint=hint)
    if engine and (worker or merge):
        raise RecipeError("--engine works and merges by itself", hint="leave --worker, --merge out")
    many = worker or merge or engine is not None
    if at is not None and not many:
        hint = "add --worker, --merge or --engine"
        raise RecipeError("--shards is of no use to one process alone", hint=hint)
    if at is not None and at.startswith("memory:"):
        hint = "a folder, or a bucket's URL"
        raise RecipeError("is seen by one process alone", where=f"--shards {at}", hint=hint)
    if workers is not None and not engine:
        hint = "start --worker as often as you like"
        raise RecipeError("--workers belongs to --engine ray", hint=hint)
    return Sharing(worker, engine, workers, at) if many else None


def inspections(how: Sharing | None, opening: "Callable[[], Dataset]") -> "Inspections | None":
    """What workers saw of a data set's pictures, to be taken; None for one process alone.

    A worker's command ends here. RecipeError where no place is named.
    """
    if how is None:
        return None
    cores = 1 if how.engine else None
    return how.job(partial(_inspection, opening, place_of(how), cores)).merged()


def place_of(how: Sharing) -> str:
    """Where the shards of a data set's pictures are; RecipeError where none is named."""
    from vesalius.errors import RecipeError

    if how.at is None:
        hint = "--shards FOLDER or URL; not among the data"
        raise RecipeError("name a place that all workers see", where="--shards", hint=hint)
    return how.at


def _inspection(opening: "Callable[[], Dataset]", at: str, cores: int | None) -> "SharedInspection":
    from vesalius.data.shared_inspection import SharedInspection

    return SharedInspection(opening(), at, cores=cores)
