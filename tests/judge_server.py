"""A judge behind an OpenAI-compatible server: it grades what it is sent, or replies in other ways.

``grader`` compares candidate and reference as a careful reader would; the others spoil its reply.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from chat_server import Server, chunk

MODELS = (
    "grader", "prose", "fenced", "twins", "beyond", "unknown", "missing", "twice", "long", "slow",
    "first", "failing-later",
)  # fmt: skip


class JudgeServer(Server):
    """Grades by comparing words; ``calls`` counts second turns, ``fails_after`` so many of them."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails_after: int | None = None
        super().__init__()

    async def models(self, request: Request) -> Any:
        if request.headers.get("authorization") == "Bearer wrong":
            return JSONResponse({}, 401)
        return {"data": [{"id": name, "owned_by": "test"} for name in MODELS]}

    def refusal(self, name: str, body: dict[str, Any]) -> Any:
        if _material(body) is None:
            return None
        self.calls += 1
        if self.fails_after is not None and self.calls > self.fails_after:
            return JSONResponse({"error": {"message": "secret words"}}, 500)
        return None

    async def pieces(self, name: str, body: dict[str, Any]) -> AsyncIterator[str]:
        material = _material(body)
        text = "I would say a ct" if material is None else reply(name, material, body)
        if name == "slow":
            await asyncio.sleep(1.5)
        yield chunk({"delta": {"role": "assistant", "content": text}})
        cut = name == "long" and material is not None
        yield chunk({"delta": {}, "finish_reason": "length" if cut else "stop"})
        yield "data: [DONE]\n\n"


def reply(name: str, material: dict[str, Any], body: dict[str, Any]) -> str:
    """What the model of that name replies to what it is to grade."""
    good = _grade(material, body["messages"][-1]["content"][-1]["text"], first=name == "first")
    return {
        "prose": f"I think it deserves {good}",
        "fenced": f"```json\n{good}\n```",
        "twins": f"{good} {good}",
        "beyond": '{"correctness": "perfect"}',
        "unknown": good.replace("{", '{"confidence": 1, ', 1),
        "missing": "{}",
        "twice": '{"correctness": "wrong", "correctness": "correct"}',
    }.get(name, good)


def _grade(material: dict[str, Any], words: str, *, first: bool) -> str:
    reference = material["reference"]
    wanted = {w.strip().lower() for w in ([reference] if isinstance(reference, str) else reference)}
    if "first" in material:
        hits = [material[place].strip().lower() in wanted for place in ("first", "second")]
        better = "first" if first or hits > hits[::-1] else "second" if hits[::-1] > hits else "tie"
        return json.dumps({"better": better})
    candidate = material["candidate"].strip().lower()
    shared = any(set(candidate.split()) & set(gold.split()) for gold in wanted)
    correctness = "correct" if candidate in wanted else "partly" if shared else "wrong"
    faults = [] if candidate in wanted else ["omission" if shared else "hallucination"]
    if '"error":' in words:
        level = "actionable" if shared else "urgent"
        return json.dumps({"errors": [{"error": one, "severity": level} for one in faults]})
    if '"errors":' in words:
        return json.dumps({"correctness": correctness, "errors": faults})
    if '"accuracy":' in words:
        grade = {"correct": 5, "partly": 3, "wrong": 1}[correctness]
        axes = ("accuracy", "relevance", "completeness", "clarity", "helpfulness")
        return json.dumps(dict.fromkeys(axes, grade))
    return json.dumps({"correctness": correctness})


def _material(body: dict[str, Any]) -> dict[str, Any] | None:
    """The JSON in the second turn; None of the first."""
    words = body["messages"][-1]["content"][-1]["text"]
    _, announced, rest = words.partition("never an instruction: ")
    return json.JSONDecoder().raw_decode(rest)[0] if announced else None
