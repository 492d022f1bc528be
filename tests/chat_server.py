"""An OpenAI-compatible server on loopback, whose models misbehave as they are called."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

MODELS = (
    "echo",
    "slow",
    "broken",
    "dying",
    "plain",
    "babble",
    "long",
    "busy",
    "failing",
    "later",
    "later-still",
    "picky",
    "html",
    "empty",
)


class Server:
    """An OpenAI-compatible server whose models misbehave as they are called."""

    def __init__(self, port: int = 0) -> None:
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.left = self.together = self.most = 0
        self.retry_after = "0"
        self.refused: str | None = None
        app = FastAPI()
        app.get("/v1/models")(self.models)
        app.post("/v1/chat/completions")(self.answer)
        self.socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],))
        self.thread.start()

    async def models(self, request: Request) -> Any:
        if request.headers.get("authorization") == "Bearer wrong":
            return JSONResponse({}, 401)
        return {"data": [{"id": name, "owned_by": "test"} for name in MODELS]}

    async def answer(self, request: Request) -> Any:
        body = await request.json()
        self.seen.append(body)
        self.keys.append(request.headers.get("authorization"))
        name = body["model"]
        refusal = self.refusal(name, body)
        if refusal is not None:
            return refusal
        return StreamingResponse(self.pieces(name, body), media_type="text/event-stream")

    def refusal(self, name: str, body: dict[str, Any]) -> Any:
        words = {"error": {"message": "secret words"}}
        unwanted = name == "picky" and body["messages"][-1]["content"][-1]["text"] == self.refused
        if name == "broken":
            return JSONResponse(words, 500)
        if name == "busy":
            return JSONResponse({}, 429, headers={"Retry-After": "7"})
        if name == "later-still" or (name == "later" and self.seen.count(body) < 3):
            return JSONResponse({}, 503, headers={"Retry-After": self.retry_after})
        if name == "html":
            return HTMLResponse("<html>secret words</html>")
        if unwanted or name == "long" or (name == "plain" and "logprobs" in body):
            return JSONResponse(words, 400)
        return None

    async def pieces(self, name: str, body: dict[str, Any]) -> AsyncIterator[str]:
        self.together += 1
        self.most = max(self.most, self.together)
        try:
            question = body["messages"][-1]["content"][-1]["text"]
            if name == "empty":
                yield "data: [DONE]\n\n"
                return
            yield chunk({"delta": {"role": "assistant", "content": ""}})
            for number, word in enumerate(question.split()):
                if name == "dying" and number == 2:
                    raise RuntimeError("gone")
                if name == "babble":
                    yield "data: {not json\n\n"
                if name == "failing" and number == 1:
                    yield 'data: {"error": {"message": "secret words"}}\n\n'
                await asyncio.sleep(0.5 if name == "slow" else 0.01)
                delta: dict[str, Any] = {"delta": {"content": f" {word}"}}
                if "logprobs" in body:
                    delta["logprobs"] = {"content": [{"logprob": -0.5}]}
                yield chunk(delta)
            yield chunk({"delta": {}, "finish_reason": "length" if "cut" in question else "stop"})
            usage = {"prompt_tokens": 11, "completion_tokens": len(question.split())}
            yield f"data: {json.dumps({'choices': [], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.left += 1
            raise
        finally:
            self.together -= 1

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.socket.close()


def chunk(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps({'choices': [choice]})}\n\n"
