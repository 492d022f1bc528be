"""Judges of HTTP as clients send it: a service on loopback that echoes what it is asked."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, get_args

import httpx2
import numpy as np
from field_judges import Bench, Case, fresh, need
from load import serving
from openai.types.chat.chat_completion_content_part_image_param import ImageURL
from PIL import Image


@contextmanager
def service(bench: Bench) -> Iterator[httpx2.Client]:
    folder = fresh(bench)
    with (
        serving(folder, REPLAY_SECONDS="0") as (url, _),
        httpx2.Client(base_url=url, timeout=60, trust_env=False) as http,
    ):
        yield http


def png() -> bytes:
    out = BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (48, 32, 3), np.uint8)).save(
        out, "PNG"
    )
    data = out.getvalue()
    return data + b"\0" * (-(len(data) + 1) % 3)  # so that the padding is there to be left out


def completed(
    http: httpx2.Client, written: str, fields: Mapping[str, Any] | None = None, **body: Any
) -> str:
    """A question about the picture ``written`` as base64 is answered: 200, with its echo."""
    url = {"url": f"data:image/png;base64,{written}", **(fields or {})}
    content = [{"type": "image_url", "image_url": url}, {"type": "text", "text": "side?"}]
    messages = [{"role": "user", "content": content}]
    answer = http.post("/v1/chat/completions", json={"model": "echo", "messages": messages, **body})
    need(answer.status_code == 200, f"{answer.status_code}: {answer.text[:200]}")
    reply = answer.json()["choices"][0]["message"]["content"]
    need(reply == "You asked: side?", f"answered {reply!r}")
    return reply


def in_lines(bench: Bench, _: Case) -> str:
    with service(bench) as http:
        completed(http, base64.encodebytes(png()).decode().replace("\n", "\r\n"))
        return completed(http, base64.encodebytes(png()).decode())


def unpadded(bench: Bench, _: Case) -> str:
    written = base64.b64encode(png()).decode()
    need(written.endswith("="), "the picture needs no padding")
    with service(bench) as http:
        return completed(http, written.rstrip("="))


def preamble(bench: Bench, _: Case) -> str:
    part = b'Content-Disposition: form-data; name="image_file"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
    body = b"A preamble.\r\n--xx\r\n" + part + png() + b"\r\n--xx--\r\nAn epilogue.\r\n"
    with service(bench) as http:
        kind = {"content-type": "multipart/form-data; boundary=xx"}
        answer = http.post("/upload_image", content=body, headers=kind)
        need(answer.status_code in (200, 201), f"{answer.status_code}: {answer.text[:200]}")
        return f"{answer.status_code}, {sorted(answer.json())[:3]}"


def details(bench: Bench, _: Case) -> str:
    values = [v for v in get_args(ImageURL.__annotations__["detail"]) if isinstance(v, str)]
    if not values:  # a forward reference: Literal["auto", ...]
        values = re.findall(r'"(\w+)"|\'(\w+)\'', str(ImageURL.__annotations__["detail"]))
        values = [one or other for one, other in values]
    need({"auto", "low", "high"} <= set(values), f"the client's values: {values}")
    with service(bench) as http:
        for value in (*values, None):
            completed(http, base64.b64encode(png()).decode(), {"detail": value})
    return f"null, {', '.join(values)}"


def nulls(bench: Bench, _: Case) -> str:
    with service(bench) as http:
        up = http.post("/upload_image", files={"image_file": png()}).json()["image_id"]
        body = {"image_id": up, "question": "side?", "conversation_id": None, "stream": None}
        answer = http.post("/ask_question", json=body)
        need(answer.status_code == 200, f"{answer.status_code}: {answer.text[:200]}")
        need(answer.json()["answer"] == "You asked: side?", answer.text[:200])
        absent = dict.fromkeys(("stream", "stream_options", "n", "temperature", "stop", "user"))
        return completed(http, base64.b64encode(png()).decode(), **absent)


HTTP = {"S31": in_lines, "S32b": unpadded, "S10": preamble, "S39": details, "S51b": nulls}
