"""The life of a worker process: one function, task after task, until its parent goes.

The parent's side is :mod:`vesalius.system.workers`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from vesalius.errors import VesaliusError

FOLLOWING = 1.0
"""Seconds between two looks whether the parent is there."""
_parent: list[Connection] = []
"""The pipe to it, in a worker process."""


def work(order: tuple[int, str, int | None, int]) -> None:
    """The life of a worker process: import, limit itself, then task after task until the end.

    ``order`` is the pipe's file number, the target, the memory limit (bytes) and the threads.
    The parent's death closes the pipe, which ends the worker; in the middle of a task, too.
    """
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    number, target, memory, threads = order
    pipe = Connection(number)
    _parent.append(pipe)
    for ignored in (signal.SIGINT, signal.SIGTERM):  # the parent's to hear: the pipe ends us
        signal.signal(ignored, signal.SIG_IGN)
    module, _, name = target.partition(":")
    try:
        function = getattr(import_module(module), name)
        _limit(memory)
    except Exception as error:  # noqa: BLE001 - told to the parent, which raises
        pipe.send(("failed", f"{type(error).__name__}: {error}"))
        return
    pipe.send(("ready", None))
    while True:
        try:
            seconds, args = pipe.recv()
        except (EOFError, OSError):
            return
        except MemoryError:
            pipe.send(("lost", None))
            return
        _limit_cpu(seconds * threads)
        answer = _done(function, args)
        try:
            pipe.send(answer)
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - a result that cannot be pickled
            kind = "lost" if isinstance(error, MemoryError) else "failed"
            pipe.send((kind, type(error).__name__))


def _follow(parent: int) -> None:
    """End this process when its parent is gone, whatever it is doing: nobody wants it done."""
    while os.getppid() == parent:
        time.sleep(FOLLOWING)
    os._exit(1)


def report(words: str) -> None:
    """Tell whoever waits for this process's task how far it is; outside of a worker, nobody."""
    for pipe in _parent:
        pipe.send(("progress", words))


def _done(function: Any, args: tuple[Any, ...]) -> tuple[str, Any]:
    try:
        return "done", function(*args)
    except VesaliusError as error:
        short = error.__cause__ or error.__context__
        # A decoder out of memory says the file is broken; that is not so.
        return ("lost", None) if isinstance(short, MemoryError) else ("refused", error)
    except MemoryError:
        return "lost", None
    # Also a panic of Rust's, which is no Exception: whatever it is, only this task has failed.
    except BaseException as error:  # noqa: BLE001
        return "failed", type(error).__name__


def _limit(memory: int | None) -> None:
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the picture
    if memory is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _limit_cpu(seconds: float) -> None:
    if sys.platform == "win32":
        return
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + 2 * seconds) + 2, hard))
