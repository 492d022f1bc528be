"""Saved answers, or an echo, at the pace of a model: for tests, load and the look of the pages."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction, Usage
from vesalius.errors import Refusal
from vesalius.run import read_predictions
from vesalius.service.engine import Job, Piece
from vesalius.service.engine.job_queue import JobQueue, Ticket


class ReplayEngine:
    """Answers from a run or file of predictions, or an echo of the question, ``seconds`` a batch.

    A saved answer is found by question and picture key, else by question alone; a question that
    was never asked is echoed, so that every request can be told from every other.
    """

    def __init__(
        self,
        answers: Path | None = None,
        *,
        seconds: float = 0.2,
        batch: int = 8,
        wait: float = 0.010,
        queue: int = 32,
    ) -> None:
        self._seconds, self._batch, self._wait = seconds, batch, wait
        self._queue = JobQueue(queue, batch)
        if answers is not None and answers.is_dir():
            answers /= "predictions.jsonl"
        self._answers = {} if answers is None else _by_question(answers)
        self._name = "echo" if answers is None else f"replay of {answers.parent.name}"
        self._arrived: asyncio.Queue[Ticket] = asyncio.Queue()
        self._serving: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Once started, until stopped."""
        return self._queue.refusal is None

    def about(self) -> dict[str, Any]:
        """No model: a name, and the software."""
        return {
            "model": self._name,
            "engine": "replay",
            "revision": None,
            "weights_sha256": None,
            "adapter_sha256": None,
            "recipe": None,
            "preprocessing": None,
            "software": {"vesalius": metadata.version("vesalius")},
        }

    def load(self) -> dict[str, Any]:
        """As every engine; nothing is cached."""
        none = {"cache_bytes": 0, "cache_hits": 0, "cache_misses": 0, "restarts": 0}
        return self._queue.load() | none

    async def start(self) -> None:
        """Begin to answer."""
        self._serving = asyncio.create_task(self._serve())
        self._queue.refusal = None

    async def stop(self, grace: float) -> None:
        """As every engine."""
        await self._queue.drain(grace)
        if self._serving is not None:
            self._serving.cancel()
            with suppress(asyncio.CancelledError):
                await self._serving

    def forget(self, picture: str) -> None:
        """Nothing is kept."""

    async def stream(self, job: Job) -> AsyncGenerator[Piece]:
        """The answer word by word, then the prediction."""
        ticket = self._queue.admit(job)
        self._arrived.put_nowait(ticket)
        async with aclosing(self._queue.pieces(ticket, lambda _: None)) as pieces:
            async for piece in pieces:
                yield piece

    async def _serve(self) -> None:
        while True:
            batch = [await self._arrived.get()]
            await asyncio.sleep(self._wait)
            while len(batch) < self._batch and not self._arrived.empty():
                batch.append(self._arrived.get_nowait())
            batch = [ticket for ticket in batch if not ticket.left]
            self._queue.begin(batch)
            await self._answer(batch)

    async def _answer(self, batch: list[Ticket]) -> None:
        """All of a batch, a word a step, the steps spread over the time that a batch takes."""
        started = time.perf_counter()
        predictions = [self._prediction(ticket.job) for ticket in batch]
        spoken = [_words(prediction.text) for prediction in predictions]
        steps = max((len(words) for words in spoken), default=0)
        for step in range(steps):
            await asyncio.sleep(self._seconds / steps)
            for ticket, words in zip(batch, spoken, strict=True):
                if step < len(words) and not ticket.left:
                    ticket.hand(words[step])
        share = round((time.perf_counter() - started) / max(1, len(batch)), 4)
        for ticket, prediction, words in zip(batch, predictions, spoken, strict=True):
            usage = Usage(len(prediction.question.split()), 0, len(words), share)
            ticket.hand(replace(prediction, usage=usage))

    def _prediction(self, job: Job) -> Prediction:
        dialogue, limit = job.dialogue, job.decoding.max_new_tokens
        saved = self._saved(dialogue)
        words = _words(
            f"You asked: {_plain(dialogue.question.text)}" if saved is None else saved.text
        )
        finish = "stop" if len(words) <= limit else "length"
        text = "".join(words[:limit])
        answer = Answer(text=text)
        if saved is not None:
            answer = replace(saved.answer, text=None if saved.answer.text is None else text)
        if saved is None:
            sure = Confidence(0.5, "none: an echo")
            return Prediction.of(dialogue, answer, confidence=sure, finish=finish)
        details = {"evidence": saved.evidence, "abstained": saved.abstained, "scores": saved.scores}
        return Prediction.of(
            dialogue, answer, confidence=saved.confidence, finish=finish, **details
        )

    def _saved(self, dialogue: Dialogue) -> Prediction | None:
        question = _plain(dialogue.question.text)
        key = None if dialogue.picture is None else dialogue.picture.key
        return self._answers.get((question, key)) or self._answers.get((question, None))


def _by_question(path: Path) -> Mapping[tuple[str, str | None], Prediction]:
    """Predictions by (question, picture) and, the first of each, by (question, None)."""
    answers: dict[tuple[str, str | None], Prediction] = {}
    for one in read_predictions(path):
        answers.setdefault((_plain(one.question), one.picture), one)
        answers.setdefault((_plain(one.question), None), one)
    if not answers:
        raise Refusal("engine_unavailable", "holds no predictions to replay", where=path)
    return answers


def _plain(question: str) -> str:
    return " ".join(question.split())


def _words(text: str) -> list[str]:
    """A text in words, each but the first with the blank before it; no words are one empty one."""
    first, *others = text.split() or [""]
    return [first, *(f" {word}" for word in others)]
