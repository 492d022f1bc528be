"""The service under load, from a second process over loopback: clients, overload, slow peers, memory.

    python benchmarks/load.py clients    100 clients x 10 requests, batching on and off
    python benchmarks/load.py overload   ten times what it can answer
    python benchmarks/load.py slow       200 connections that never finish their request
    python benchmarks/load.py images     20,000 distinct pictures

Each starts its own service with the replay backend (200 ms a batch) on a free port, and stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import psutil
from PIL import Image


@dataclass
class Tally:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: int = 0
    mixed: int = 0

    def add(self, status: int, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.setdefault(status, []).append(seconds)

    def quantiles(self, status: int) -> str:
        times = sorted(self.seconds.get(status, []))
        if not times:
            return "-"
        at = [times[min(len(times) - 1, int(q * len(times)))] for q in (0.5, 0.95, 0.99)]
        return " / ".join(f"{1000 * one:,.0f}" for one in at) + " ms (p50 / p95 / p99)"


@contextmanager
def serving(state: Path, **settings: str) -> Iterator[tuple[str, psutil.Process]]:
    """A service of its own process: its URL, and the process."""
    replayed = {} if "MODEL" in settings else {"REPLAY": "echo", "REPLAY_SECONDS": "0.2"}
    own = replayed | {"PORT": "0", "STATE": str(state)}
    own |= {"RATE_PER_MINUTE": "10000000", "LOG_LEVEL": "error", "TEXT_IN_DICOM": "off"} | settings
    environment = os.environ | {f"VESALIUS_{name}": value for name, value in own.items()}
    command = [sys.executable, "-m", "vesalius", "serve"]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert started.stderr is not None
    lines: list[str] = []
    found = None
    while found is None:
        line = started.stderr.readline()
        if not line:
            raise SystemExit(f"the service did not start: {''.join(lines[-5:])}")
        lines.append(line)
        found = re.search(r"serves (http\S+)", line)
    url = found[1]
    try:
        until_ready(url)
        yield url, psutil.Process(started.pid)
    finally:
        started.terminate()
        started.stderr.read()
        started.wait(60)


def until_ready(url: str) -> None:
    for _ in range(600):
        try:
            if httpx2.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise SystemExit("the service did not become ready")


@asynccontextmanager
async def client(url: str, most: int = 200) -> AsyncIterator[httpx2.AsyncClient]:
    limits = httpx2.Limits(max_connections=most, max_keepalive_connections=most)
    async with httpx2.AsyncClient(
        base_url=url, timeout=120, limits=limits, trust_env=False
    ) as http:
        yield http


def png(seed: int, size: int = 64) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, "PNG", compress_level=1)
    return out.getvalue()


async def clients(url: str, *, people: int = 100, each: int = 10) -> tuple[Tally, float]:
    """So many clients, each asking one question after the other; 429 is waited out as told."""
    tally = Tally()

    async def person(number: int, http: httpx2.AsyncClient) -> None:
        up = await http.post("/upload_image", files={"image_file": png(number)})
        image_id = up.json()["image_id"]
        for at in range(each):
            question = f"client {number} request {at}"
            started = time.perf_counter()
            while True:
                body = {"image_id": image_id, "question": question}
                answer = await http.post("/ask_question", json=body)
                tally.add(answer.status_code, time.perf_counter() - started)
                if answer.status_code != 429:
                    break
                await asyncio.sleep(float(answer.headers["retry-after"]))
            if answer.status_code != 200:
                tally.lost += 1
            elif answer.json()["answer"] != f"You asked: {question}":
                tally.mixed += 1

    async with client(url) as http:
        started = time.perf_counter()
        await asyncio.gather(*(person(number, http) for number in range(people)))
        return tally, time.perf_counter() - started


async def overload(url: str, *, rate: float, seconds: float, peers: int = 200) -> Tally:
    """``rate`` questions a second over ``peers`` connections that wait for nobody else's answer.

    Bytes over sockets: a client library would need more of the processor than the service does.
    """
    tally, number, start = Tally(), iter(range(int(rate * seconds))), time.perf_counter()
    with httpx2.Client(base_url=url, trust_env=False) as http:
        image_id = http.post("/upload_image", files={"image_file": png(0)}).json()["image_id"]
    host, port = url.removeprefix("http://").split(":")

    async def peer() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for at in number:
            await asyncio.sleep(max(0.0, start + at / rate - time.perf_counter()))
            question = f"question {at}"
            body = json.dumps({"image_id": image_id, "question": question})
            head = f"POST /ask_question HTTP/1.1\r\nHost: {host}:{port}\r\n"
            kind = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            sent = time.perf_counter()
            writer.write((head + kind + body).encode())
            reply = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(re.search(r"content-length: (\d+)", reply.lower())[1])  # type: ignore[index]
            content = (await reader.readexactly(length)).decode()
            status = int(reply.split()[1])
            tally.add(status, time.perf_counter() - sent)
            tally.mixed += status == 200 and question not in content
        writer.close()

    await asyncio.gather(*(peer() for _ in range(peers)))
    return tally


async def slow(url: str, *, peers: int, seconds: float) -> tuple[Tally, int]:
    """``peers`` connections that send a byte a second and never end their head, and a real client."""
    host, port = url.removeprefix("http://").split(":")
    end, refused, tally = time.monotonic() + seconds, 0, Tally()

    async def drip() -> None:
        nonlocal refused
        while time.monotonic() < end:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            while time.monotonic() < end:
                try:
                    writer.write(b"a")
                    await writer.drain()
                    reply = await asyncio.wait_for(reader.read(100), 1)
                except TimeoutError:
                    continue
                except OSError:
                    break
                refused += b" 408 " in reply
                break
            writer.close()

    async def real(http: httpx2.AsyncClient) -> None:
        up = await http.post("/upload_image", files={"image_file": png(0)})
        while time.monotonic() < end:
            body = {"image_id": up.json()["image_id"], "question": "still there?"}
            started = time.perf_counter()
            answer = await http.post("/ask_question", json=body)
            tally.add(answer.status_code, time.perf_counter() - started)

    async with client(url) as http:
        await asyncio.gather(real(http), *(drip() for _ in range(peers)))
    return tally, refused


async def images(url: str, process: psutil.Process, *, count: int) -> list[tuple[int, float]]:
    """``count`` distinct pictures one after the other over four connections; memory on the way."""
    seen: list[tuple[int, float]] = []
    done = 0

    async def uploads(http: httpx2.AsyncClient, start: int) -> None:
        nonlocal done
        for number in range(start, count, 4):
            answer = await http.post("/upload_image", files={"image_file": png(number, 48)})
            assert answer.status_code == 201, answer.text
            done += 1
            if done % (count // 10) == 0:
                seen.append((done, memory(process)))

    async with client(url) as http:
        await asyncio.gather(*(uploads(http, start) for start in range(4)))
    return seen


def memory(process: psutil.Process) -> float:
    """Resident MiB of a service and its workers."""
    whole = [process, *process.children(recursive=True)]
    return sum(one.memory_info().rss for one in whole) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["clients", "overload", "slow", "images"])
    parser.add_argument("--count", type=int, default=20_000, help="pictures of `images`")
    parser.add_argument("--seconds", type=float, default=120, help="of `slow`")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        run(arguments, Path(folder))


def run(arguments: argparse.Namespace, folder: Path) -> None:
    if arguments.what == "clients":
        rates = {}
        for name, batch in (("batching", "8"), ("one by one", "1")):
            with serving(folder / batch, BATCH=batch, DEADLINE="120") as (url, _):
                tally, took = asyncio.run(clients(url))
            rates[name] = tally.statuses[200] / took
            print(f"{name}: {dict(tally.statuses)}, lost {tally.lost}, mixed {tally.mixed}")
            print(f"  {took:.1f} s, {rates[name]:.1f} answers/s; {tally.quantiles(200)}")
        print(f"batching answers {rates['batching'] / rates['one by one']:.1f} times as many")
    elif arguments.what == "overload":
        with serving(folder) as (url, _):
            tally = asyncio.run(overload(url, rate=400, seconds=10))
        print(f"400 questions/s for 10 s, 40/s can be answered: {dict(tally.statuses)}")
        print(f"  answered: {tally.quantiles(200)}; mixed {tally.mixed}")
        print(f"  refused: {tally.quantiles(429)}")
    elif arguments.what == "slow":
        with serving(folder) as (url, _):
            tally, refused = asyncio.run(slow(url, peers=200, seconds=arguments.seconds))
        print(f"200 slow peers for {arguments.seconds:g} s: {refused} times told 408 and closed")
        print(f"  a real client meanwhile: {dict(tally.statuses)}, {tally.quantiles(200)}")
    else:
        with serving(folder) as (url, process):
            started = time.perf_counter()
            seen = asyncio.run(images(url, process, count=arguments.count))
            took = time.perf_counter() - started
        print(
            f"{arguments.count:,} distinct pictures in {took:.0f} s ({arguments.count / took:.0f}/s)"
        )
        print("  MiB: " + ", ".join(f"{mib:.0f} at {done:,}" for done, mib in seen))
        later = [mib for _, mib in seen[1:]]
        print(f"  mean after the first tenth {statistics.mean(later):.0f}, last {later[-1]:.0f}")


if __name__ == "__main__":
    main()
