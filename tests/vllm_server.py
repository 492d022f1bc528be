"""A server that speaks vLLM's protocol in front of a run's real model, with its known faults."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from vesalius import Dialogue, Picture, Question, Run, Turn
from vesalius.models.build import build
from vesalius.recipe import Decoding

BASE, ADAPTER = "base", "adapted"
OTHER_TEMPLATE = (
    "{% for message in messages %}{{ 'Human: ' if message.role == 'user' else 'Robot: ' }}"
    "{% for part in message.content %}"
    "{{ '<image>' if part.type == 'image' else part.text + eos_token }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'Robot: ' }}{% endif %}"
)


class Vllm:
    """Lists a base and an adapter on it. ``fault``: ``ignored`` serves the base under both names,
    ``template`` writes other prompts, ``cut`` stops answers after one token, ``alias`` says that
    another model answered, ``no logprobs``, ``nan`` and ``prose`` (no chunk is JSON), ``no base``
    and ``several`` change what it lists."""

    def __init__(self, run: Run, fault: str = "") -> None:
        learner: Any = build(run.recipe().model)
        template = {"chat_template": OTHER_TEMPLATE} if fault == "template" else {}
        asked: Any = build({**run.recipe().model, **template})
        bare = learner.bare(run)
        self.models = {BASE: bare, ADAPTER: bare if fault == "ignored" else asked.load(run)}
        self.fault, self.seen = fault, 0
        self.lock = threading.Lock()
        app = FastAPI()
        app.get("/v1/models")(self.list)
        app.post("/v1/chat/completions")(self.answer)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v1"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()

    def list(self) -> Any:
        parents = {BASE: None, ADAPTER: BASE}
        if self.fault == "no base":
            parents = {ADAPTER: None}
        if self.fault == "several":
            parents["second"] = BASE
        return {"data": [{"id": k, "owned_by": "vllm", "parent": v} for k, v in parents.items()]}

    async def answer(self, request: Request) -> Any:
        body = await request.json()
        self.seen += 1
        if body["model"] not in self.models:
            return JSONResponse({"error": {"message": "no such model"}}, 404)
        return StreamingResponse(self.chunks(body), media_type="text/event-stream")

    def chunks(self, body: dict[str, Any]) -> Iterator[str]:
        with self.lock:
            most = 1 if self.fault == "cut" else body["max_tokens"]
            decoding = Decoding(max_new_tokens=most, temperature=body["temperature"])
            (found,) = self.models[body["model"]].predict([dialogue_of(body["messages"])], decoding)
        if self.fault == "prose":
            yield "data: I am not sure what you mean.\n\n"
        assert found.confidence is not None
        each = math.nan if self.fault == "nan" else math.log(found.confidence.value)
        choice: dict[str, Any] = {"delta": {"content": found.text}, "finish_reason": found.finish}
        if body.get("logprobs") and self.fault != "no logprobs":
            choice["logprobs"] = {"content": [{"logprob": each}] * found.usage.new_tokens}
        name = "someone-else" if self.fault == "alias" else body["model"]
        yield f"data: {json.dumps({'model': name, 'choices': [choice]})}\n\n"
        usage = {"prompt_tokens": found.usage.prompt_tokens}
        yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()


def picture_of(url: str) -> Picture:
    encoded = base64.b64decode(url.partition(",")[2])
    return Picture(hashlib.sha256(encoded).hexdigest(), lambda: encoded)


def dialogue_of(messages: list[dict[str, Any]]) -> Dialogue:
    """The one question of a request, with its pictures."""
    (message,) = messages
    *images, text = message["content"]
    urls = [part["image_url"]["url"] for part in images]
    shown = tuple(picture_of(url) for url in urls)
    return Dialogue("asked", (Turn(Question(text["text"]), shown),), group="asked", case="asked")
