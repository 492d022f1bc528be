"""What an agent waits for: the MCP server's start, its tools, and how soon a cancelled call is gone.

    python benchmarks/agents.py

A linear probe with an index is fitted on phantoms; the SDK's own client starts ``vesalius mcp`` and
calls its tools. Prints seconds: of the first call, and the median of the others.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import psutil
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from vesalius import Recipe, fit, open_dataset, predict

OPTIONS = {"cases": {"train": 12, "validation": 3, "test": 6}, "size": 64}
RECIPE = {
    "name": "probe",
    "data": {"dataset": "phantom", "options": OPTIONS},
    "model": {"name": "linear_probe"},
    "retrieve": {},
    "evaluation": {"metrics": ["squad"], "resamples": 1000},
}
RUN, PICTURE = "work/probe", "work/a.png"
CALLS: dict[str, dict[str, Any]] = {
    "list": {},
    "ask": {"run": RUN, "picture": PICTURE, "question": "which organ?"},
    "retrieve": {"run": RUN, "picture": PICTURE},
    "evaluate": {"run": RUN},
    "compare": {"first": RUN, "second": RUN},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--times", type=int, default=10)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "work")
        predict(fit(Recipe.model_validate(RECIPE), home / "probe"))
        cases = open_dataset("phantom", options=OPTIONS).cases("test")
        (home / "a.png").write_bytes(next(iter(cases)).pictures[0].read())
        anyio.run(measure, home, times)


async def measure(home: Path, times: int) -> None:
    words = ["-m", "vesalius", "mcp", "--folder", str(home)]
    server = StdioServerParameters(command=sys.executable, args=words, env=dict(os.environ))
    began = time.perf_counter()
    async with Client(stdio_client(server)) as client:
        print(f"start: {time.perf_counter() - began:.2f} s")
        for tool, arguments in CALLS.items():
            call = partial(client.call_tool, tool, arguments)
            first, *others = [await seconds(call) for _ in range(times + 1)]
            print(f"{tool}: first {first:.2f} s, then {statistics.median(others):.3f} s")
        gone = [await cancelled(client) for _ in range(times)]
        print(
            f"cancelled, and its process gone: {statistics.median(gone):.2f} s, at most {max(gone):.2f} s"
        )


async def seconds(call: Callable[[], Awaitable[Any]]) -> float:
    began = time.perf_counter()
    answer = await call()
    assert not answer.is_error, answer.content[0].text
    return time.perf_counter() - began


async def cancelled(client: Client) -> float:
    """Seconds from a call's cancellation until the process at work is gone."""
    async with anyio.create_task_group() as group:
        long = {"run": RUN, "resamples": 100_000, "metrics": ["rouge", "bleu"]}
        group.start_soon(client.call_tool, "evaluate", long)
        await anyio.sleep(1.5)
        workers = [one for child in psutil.Process().children() for one in child.children()]
        began = time.perf_counter()
        group.cancel_scope.cancel()
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in workers):
        await anyio.sleep(0.005)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
