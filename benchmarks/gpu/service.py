"""The service at a released size: 32 clients ask in turn, batched and one by one."""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.gpu.shapes import learner, png, talk
from benchmarks.gpu.tasks import Tasks, release

from vesalius.models.generative.weights.folder import write_whole

SHAPE, CLIENTS = "qwen3-vl-2b", 32
EACH = {32: 4, 8: 4, 1: 1}
"""Questions of each client, by batch: one by one is slow enough to see with one."""
WANTS = ("fastapi", "httpx2", "limits", "pydantic_settings", "sqlalchemy", "structlog", "uvicorn")


def tasks(*, small: bool) -> Tasks:
    """A row for each way of serving."""
    absent = [name for name in WANTS if find_spec(name) is None]
    if absent:
        yield {}, lambda: {"skipped": f"{', '.join(absent)}: not installed"}
        return
    with tempfile.TemporaryDirectory() as folder:
        yield {"shape": SHAPE}, partial(_write, Path(folder) / "model", small)
        for batch, each in EACH.items():
            work = partial(_serve, Path(folder), batch, each, small)
            yield {"shape": SHAPE, "clients": CLIENTS, "questions_each": each, "batch": batch}, work


def _write(folder: Path, small: bool) -> dict[str, Any]:
    """The shape as a folder that anybody could load."""
    made = learner(SHAPE, small=small)
    started = time.perf_counter()
    network = made.untuned().network
    network.model.generation_config.eos_token_id = list(network.stops)
    write_whole(network.model, network.processor, network.stops, folder)
    del network, made
    release()
    return {"written_s": round(time.perf_counter() - started, 1)}


def _serve(folder: Path, batch: int, each: int, small: bool) -> dict[str, Any]:
    from benchmarks.load import serving

    settings = {"MODEL": str(folder / "model"), "BATCH": str(batch), "DEADLINE": "120"}
    settings["CACHE_MIB"] = "8192"  # of a conversation of 400 tokens it takes 46 MiB
    with serving(folder / f"state-{batch}", **settings) as (url, _):
        asyncio.run(_clients(url, people=batch, each=1, small=small))  # warms up
        tally, seconds = asyncio.run(_clients(url, people=CLIENTS, each=each, small=small))
    answers = tally.statuses[200]
    return {
        "statuses": dict(tally.statuses),
        "seconds": round(seconds, 2),
        "answers_per_s": round(answers / seconds, 2),
        "latency": tally.quantiles(200),
        "ok": answers == CLIENTS * each,
    }


async def _clients(url: str, *, people: int, each: int, small: bool) -> tuple[Any, float]:
    from benchmarks.load import Tally, client

    tally, questions = Tally(), [d.question.text for d in talk(1, each, side=64)]

    async def person(number: int, http: Any) -> None:
        picture = png(number, 64 if small else 560)
        up = await http.post("/upload_image", files={"image_file": picture})
        for question in questions:
            started = time.perf_counter()
            while True:
                body = {"image_id": up.json()["image_id"], "question": question}
                answer = await http.post("/ask_question", json=body)
                tally.add(answer.status_code, time.perf_counter() - started)
                if answer.status_code != 429:
                    break
                await asyncio.sleep(float(answer.headers["retry-after"]))

    async with client(url) as http:
        started = time.perf_counter()
        await asyncio.gather(*(person(number, http) for number in range(people)))
        return tally, time.perf_counter() - started
