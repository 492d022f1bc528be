"""Several processes that train one model: who writes, who waits, and what all of them agree on.

A launcher (``accelerate launch``, ``torchrun``, ``mpirun``) starts them; without one there is a
single process, and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from vesalius.errors import RunError, VesaliusError
from vesalius.run import is_main

T = TypeVar("T")

# Long enough for the main process to validate or to hash a checkpoint while the others wait.
PATIENCE = timedelta(hours=2)
SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")


def world_size() -> int:
    """How many processes train together."""
    return max(int(os.environ.get(name, "1")) for name in SIZES)


def sharded() -> bool:
    """Whether the launcher asked for weights spread over the processes (FSDP, DeepSpeed)."""
    names = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return any(os.environ.get(name, "").lower() == "true" for name in names)


def cpu_only() -> bool:
    """Whether training stays on the CPU: no CUDA device, or ``ACCELERATE_USE_CPU`` says so."""
    import torch

    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in {"1", "true", "yes"}
    return forced or not torch.cuda.is_available()


def join() -> None:
    """Connect to the other processes, if there are any and it was not done yet."""
    if world_size() == 1:
        return
    import torch.distributed as dist
    from accelerate import PartialState

    if not dist.is_initialized():
        PartialState(cpu=cpu_only(), timeout=PATIENCE)
        atexit.register(_leave)


def _leave() -> None:
    """Part from the other processes; without it the connection's threads abort at exit."""
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def wait_for_everyone() -> None:
    """Go on when all processes are here."""
    if world_size() == 1:
        return
    import torch.distributed as dist

    join()
    dist.barrier()


@contextmanager
def main_first() -> Iterator[None]:
    """The block in the main process, and in the others once it is through there."""
    if not is_main():
        wait_for_everyone()
    try:
        yield
    finally:
        if is_main():
            wait_for_everyone()


def on_main(work: Callable[[], T]) -> T:
    """Do ``work`` in the main process; all return what it returned, or raise what it raised."""
    if world_size() == 1:
        return work()
    import torch.distributed as dist

    join()
    box: list[Any] = [None, None]
    failure: VesaliusError | None = None
    if is_main():
        try:
            box[0] = work()
        except VesaliusError as error:
            failure, box[1] = error, str(error)
    dist.broadcast_object_list(box)
    if failure is not None:
        raise failure
    if box[1] is not None:
        raise RunError(box[1])
    result: T = box[0]
    return result


def highest(number: int) -> int:
    """The largest of the processes' numbers; all must ask."""
    if world_size() == 1:
        return number
    import torch
    import torch.distributed as dist

    device = "cuda" if "nccl" in dist.get_backend() else "cpu"
    tensor = torch.tensor(number, device=device)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return int(tensor.item())


def gathered(value: T) -> list[T]:
    """The processes' values, in the order of their ranks; all must ask."""
    if world_size() == 1:
        return [value]
    import torch.distributed as dist

    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values
