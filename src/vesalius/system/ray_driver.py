"""Ray, in a process of its own: it starts workers of a job, and again those that die.

What is done, and by whom, stands in the job's shards; nothing of it goes through Ray.
"""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from vesalius.errors import RunError, VesaliusError
from vesalius.system.parallel import usable_cores
from vesalius.system.shards import Shards

DEATHS = 3
"""So many for each worker, and no shard done meanwhile, are no accident any more."""
STORE = 80 * 2**20
"""Bytes of Ray's own store, the least it takes: results go to the shards."""
LOCAL = {
    # Named for other systems, it binds every port of this one to loopback, too.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    # When its control process dies, so does ours, and that is told, after so many seconds.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "10",
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done: ``make``, pickled, gives the job, whose shards are ``shards``."""

    make: bytes
    shards: Shards
    workers: int | None
    address: str
    """Of a cluster; empty for a Ray of this machine alone."""
    folder: str
    """Of Ray's own files, closed to others."""
    environment: dict[str, str]


def drive(order: Order) -> None:
    """Do the job by workers of Ray's; RunError where they die again and again."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray ends its processes by it
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    home = {key: value for key, value in os.environ.items() if key == "HOME"}
    with _ray(order) as ray:
        have = ray.cluster_resources()
        gpus = int(have.get("GPU", 0))
        count = order.workers or gpus or int(have.get("CPU", 1))
        environment = dict(order.environment)
        if not order.address:
            environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // count)))
            environment |= home
        share = 1 / ceil(count / gpus) if gpus else 0
        options = {"num_cpus": 1, "num_gpus": share, "max_retries": 0}
        remote = ray.remote(**options, scheduling_strategy="SPREAD")(work)
        words = (order.make, str(Path.cwd()), environment)
        _work_off(ray, lambda: remote.remote(*words), count, order.shards)


def work(make: bytes, folder: str, environment: dict[str, str]) -> int:
    """One worker, in a process of Ray's: it does shards until all are done."""
    os.environ.update(environment)
    with suppress(FileNotFoundError):  # relative paths mean the same where the disk is shared
        os.chdir(folder)
    done: int = pickle.loads(make)().work()  # noqa: S301 - our own, by way of Ray
    return done


def _work_off(ray: Any, start: Callable[[], Any], count: int, shards: Shards) -> None:
    """Workers until one has found that nothing is left; one that dies gets a successor."""
    running, left, deaths = [start() for _ in range(count)], shards.left(), 0
    while True:
        (ended, *_), running = ray.wait(running, num_returns=1)
        try:
            ray.get(ended)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, VesaliusError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError as error:
            before, left = left, shards.left()
            deaths = deaths + 1 if left == before else 1
            if deaths >= DEATHS * count:
                what = f"{deaths} workers died, and no shard was done meanwhile"
                hint = f"{type(error).__name__}; what is done stays"
                raise RunError(what, where="--engine ray", hint=hint) from error
            running.append(start())
        else:
            return


@contextmanager
def _ray(order: Order) -> Iterator[Any]:
    """The library, connected; RunError where there is no Ray at the address."""
    if not order.address:
        # Without this file in its home it asks three clouds' addresses for the machine's kind, also
        # where nothing is reported; and a secret would be put there, for all to read.
        Path(order.folder, "ray_bootstrap_config.yaml").write_text("{}")
        own = {"HOME": order.folder, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        os.environ.update(own | LOCAL)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    import ray

    silent = {"log_to_driver": False, "configure_logging": False}
    alone = {
        "num_cpus": max(order.workers or 1, usable_cores()),
        "include_dashboard": False,
        "object_store_memory": STORE,
        "_temp_dir": str(Path(order.folder, "ray")),
    }
    try:
        if order.address:
            _reach(order.address)
            ray.init(address=order.address, **silent)
        else:
            ray.init(address="local", **silent, **alone)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        what = f"Ray cannot be started or reached: {type(error).__name__}: {error}"
        raise RunError(what, where=order.address or "--engine ray") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """OSError where nothing listens at HOST:PORT, for which Ray would wait without end."""
    host, _, port = address.rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _end_with(parent: int) -> None:
    """End this process when the one that started it has ended, however it did."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
