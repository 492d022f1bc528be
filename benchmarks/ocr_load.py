"""Two owners while writing in pictures is read: does the one's heap keep the other waiting?

    python benchmarks/ocr_load.py

Starts a service that reads every picture (VESALIUS_TEXT_IN_PICTURES=flag), with a key for each owner.
The second uploads one picture after the other: alone for a while, then beside the first, who sends 320
at once and tries none again. Prints how long each waited and for what. It ends when the last of the 320
has its reply, so at the latest when the service's deadline has passed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager, closing
from io import BytesIO
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import httpx2
from load import Tally, client, serving
from PIL import Image, ImageDraw

from vesalius.data.burned_in import WRITING
from vesalius.service.settings import settings
from vesalius.service.storage import open_store
from vesalius.service.web.examples import EXAMPLES

Replies = defaultdict[str, Tally]
"""What one owner had for an answer, by its words."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=320, help="of the first owner, at once")
    parser.add_argument("--alone", type=float, default=20, help="seconds of the second one alone")
    parser.add_argument("--deadline", type=float, default=60, help="of the service, in seconds")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder), options.pictures, options.alone, options.deadline)
    for name, replies in measured.items():
        for words, tally in replies.items():
            for status, times in tally.statuses.items():
                print(f"{name}: {times} times {status}, {words}; {tally.quantiles(status)}")


def measure(folder: Path, pictures: int, seconds: float, deadline: float) -> dict[str, Replies]:
    """The second owner's replies alone and beside the first, and the first's."""
    with closing(open_store(settings(state=folder))) as store:
        store.migrate()
        first, second = (store.create_key(name)[1] for name in ("first", "second"))
    own = {"TEXT_IN_PICTURES": "flag", "KEYS": "on", "DEADLINE": str(deadline)}
    # The first has a process of its own: what the second waits for is the service, not the client.
    with (
        serving(folder, **own) as (url, _),
        ProcessPoolExecutor(1, get_context("spawn")) as other,
    ):
        other.submit(len, "").result()  # it is started
        end = time.monotonic() + seconds
        alone = one_by_one(url, second, "ALONE", lambda: time.monotonic() > end)
        load = other.submit(all_at_once, url, first, pictures)
        beside = one_by_one(url, second, "BESIDE", load.done)
        return {"second, alone": alone, "second, beside": beside, "first": load.result()}


def one_by_one(url: str, key: str, name: str, over: Callable[[], bool]) -> Replies:
    """Replies to pictures, each sent when the one before has its own."""
    pictures, replies = with_writing(name), Replies(Tally)

    async def send() -> None:
        async with owner(url, key, 1) as http:
            while not over():
                await upload(http, next(pictures), replies)

    asyncio.run(send())
    return replies


def all_at_once(url: str, key: str, pictures: int) -> Replies:
    """Replies to so many pictures that are sent together."""
    pngs, replies = list(islice(with_writing("HEAP"), pictures)), Replies(Tally)

    async def send() -> None:
        async with owner(url, key, pictures) as http:
            await asyncio.gather(*(upload(http, png, replies) for png in pngs))

    asyncio.run(send())
    return replies


@asynccontextmanager
async def owner(url: str, key: str, connections: int) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(url, connections) as http:
        http.headers["Authorization"] = f"Bearer {key}"
        yield http


async def upload(http: httpx2.AsyncClient, png: bytes, replies: Replies) -> None:
    started = time.perf_counter()
    reply = await http.post("/upload_image", files={"image_file": png})
    seconds, body = time.perf_counter() - started, reply.json()
    if reply.status_code == 201:
        read = any(warning.startswith(WRITING) for warning in body["warnings"])
        words = "its writing found" if read else "no writing found"
    else:
        words = f"{body['code']}: {body['detail']}"
    replies[words].add(reply.status_code, seconds)


def with_writing(name: str) -> Iterator[bytes]:
    """PNGs of one drawn picture, each with words of its own in a corner; no person's data."""
    drawn = Image.open(BytesIO(EXAMPLES[0].draw()))
    for number in count():
        picture, out = drawn.copy(), BytesIO()
        words = f"{name} PHANTOM {number:04d}"
        ImageDraw.Draw(picture).text((12, 12), words, fill=255, font_size=18)
        picture.save(out, "PNG", compress_level=1)
        yield out.getvalue()


if __name__ == "__main__":
    main()
