"""A real service on a loopback port, in a thread of the test, with an echo for a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from vesalius.service.assembly import assemble
from vesalius.service.container import Service
from vesalius.service.server import Server, bound, listening
from vesalius.service.settings import settings


@dataclass(frozen=True)
class Serving:
    """A running service, and a client for it."""

    url: str
    service: Service
    client: httpx2.Client

    def upload(self, data: bytes | None = None, **named: Any) -> httpx2.Response:
        return self.client.post(
            "/upload_image", files={"image_file": png() if data is None else data}, **named
        )

    def image_id(self, data: bytes | None = None, **named: Any) -> str:
        answer = self.upload(data, **named)
        assert answer.status_code in {200, 201}, answer.text
        return str(answer.json()["image_id"])

    def ask(self, **fields: Any) -> httpx2.Response:
        return self.client.post("/ask_question", json=fields)


@contextmanager
def serving(state: Path, *, warm: bool = True, **options: Any) -> Iterator[Serving]:
    """The service with settings of the test.

    Unless they say otherwise echo answers in no time, and no model is loaded to look for text.
    """
    own = {"replay": "echo", "replay_seconds": 0.0, "port": 0, "state": state, "decoders": 1}
    own["text_in_dicom"] = "off"
    configuration = settings(**own | options)
    service = assemble(configuration)
    service.store.migrate()
    listener = bound(configuration)
    server = Server(listening(service), service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
            if warm:
                until(lambda: client.get("/readyz").status_code == 200, seconds=120)
            yield Serving(url, service, client)
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()
        assert not thread.is_alive()


def until(true: Any, *, seconds: float = 10) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while True:
        try:
            if true():
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.02)


def png(seed: int = 0, size: tuple[int, int] = (48, 32)) -> bytes:
    """A picture of noise, another for every seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()


def events(text: str) -> list[tuple[str, str]]:
    """(name, data) of server-sent events."""
    pairs = []
    for block in text.split("\n\n"):
        lines = dict(
            line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":"
        )
        if "data" in lines:
            pairs.append((lines.get("event", "message"), lines["data"]))
    return pairs
