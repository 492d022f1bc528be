"""From a question to a stored answer: the conversation before it, the engine, and what is kept.

Knows no HTTP. Events come as they happen; a route folds them or sends them on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import ModelError, Refusal, VesaliusError
from vesalius.recipe import Decoding
from vesalius.service.chat.intake import require_view
from vesalius.service.engine import Engine, Job, Piece
from vesalius.service.http.schemas import UsageOut
from vesalius.service.settings import Settings
from vesalius.service.store import Store
from vesalius.service.store.records import Turn as Stored
from vesalius.service.store.records import new_id
from vesalius.service.telemetry import Metrics, log, place_of
from vesalius.service.threads import in_thread


@dataclass(frozen=True, slots=True)
class QuestionRequest:
    """A question of an owner about a view of a picture."""

    owner: str
    image_id: str
    question: str
    conversation_id: str | None = None
    view: View = OWN_VIEW
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The question is in line; its answer will have this id."""

    answer_id: str
    conversation_id: str


@dataclass(slots=True)
class Prompt:
    """What the model is shown: a picture, the turns before (as many as fit), a question."""

    picture: Picture
    past: list[Turn]
    question: str
    decoding: Decoding

    def dialogue(self, name: str) -> Dialogue:
        """The first turn shows the picture; the last one is open."""
        first, *others = [*self.past, Turn(Question(self.question))]
        turns = (replace(first, pictures=(self.picture,)), *others)
        return Dialogue(name, turns, group=name, case=name)


Event = Accepted | str | Stored
"""First Accepted, then text as it comes, last the stored turn."""


class Answering:
    """Asks the engine, and keeps what was asked and answered."""

    def __init__(
        self, settings: Settings, store: Store, engine: Engine, metrics: Metrics, *, history: bool
    ) -> None:
        self.settings, self.store, self.engine, self.metrics = settings, store, engine, metrics
        self.history = history
        self.decoding = Decoding(**engine.about().get("decoding", {}))
        self._later: set[asyncio.Task[Any]] = set()
        self._held: dict[str, str] = {}  # pictures the engine may hold something of: key, image id

    async def events(self, request: QuestionRequest) -> AsyncGenerator[Event]:
        """The events of one question. Closing it cancels; what was begun is stored as such.

        The engine takes the question before it is written down: what is refused leaves no trace.
        """
        self.require_room()
        question = self.checked(request.question)
        image = await in_thread(self.store.image, request.owner, request.image_id)
        require_view(image.kind, image.frames, request.view)
        self._held[self.store.picture(image).key] = image.id
        prompt = Prompt(
            self.store.picture(image, request.view),
            await self._past(request),
            question,
            self._decoding(request.max_tokens),
        )
        async with aclosing(self._pieces(prompt)) as pieces:
            await anext(pieces)
            turn = await self._begin_turn(request, question)
            done = False
            try:
                yield Accepted(turn.answer_id, turn.conversation_id)
                async for event in self._events(turn, prompt, pieces, request.owner):
                    done = not isinstance(event, str)
                    yield event
            except VesaliusError as error:
                self.metrics.answers.labels(error.code).inc()
                self._store_later(request.owner, turn.answer_id, error.code)
                raise
            except (asyncio.CancelledError, GeneratorExit):
                if not done:
                    self.metrics.answers.labels("cancelled").inc()
                    self._store_later(request.owner, turn.answer_id, "cancelled")
                raise

    def require_room(self) -> None:
        """Refusal at once, before anything is read or written, if the engine cannot take it."""
        if not self.engine.ready:
            raise Refusal("not_ready", "the model is not ready", hint="GET /readyz says when")
        load = self.engine.load()
        if load["queued"] >= self.settings.queue:
            detail = f"{load['queued']} questions are waiting already"
            raise Refusal("overloaded", detail, retry_after=load["wait"], hint="ask again later")

    async def forget_stale(self) -> None:
        """Have the engine forget pictures that expired, or that another process deleted."""
        held = dict(self._held)
        living = await in_thread(self.store.living_of, list(held.values()))
        for key, image_id in held.items():
            # The same picture may be here again meanwhile, newly uploaded.
            if image_id not in living and self._held.get(key) == image_id:
                self.engine.forget(key)
                del self._held[key]

    async def settle(self) -> None:
        """Wait for what is still to be stored."""
        if self._later:
            await asyncio.gather(*self._later, return_exceptions=True)

    async def _begin_turn(self, request: QuestionRequest, question: str) -> Stored:
        """The turn, written down; where the caller leaves meanwhile, closed once it is there."""
        writing = asyncio.ensure_future(in_thread(self._begin, request, question))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._later_on(self._undone(writing, request.owner))
            raise

    async def _undone(self, writing: asyncio.Future[Stored], owner: str) -> None:
        turn = await writing
        await in_thread(self._fail, owner, turn.answer_id, "cancelled")

    def _begin(self, request: QuestionRequest, question: str) -> Stored:
        return self.store.begin_turn(
            request.owner,
            request.conversation_id,
            request.image_id,
            question,
            view=request.view,
            max_turns=self.settings.max_turns,
            seconds=self.settings.deadline + self.settings.grace,
        )

    async def _pieces(self, prompt: Prompt) -> AsyncGenerator[Piece | None]:
        """None once the engine has taken the question, then its pieces.

        A conversation too long for the model loses its oldest turns.
        """
        deadline, taken, name = time.time() + self.settings.deadline, False, new_id("job_")
        while True:
            job = Job(name, prompt.dialogue(name), prompt.decoding, deadline)
            try:
                async with aclosing(primed(self.engine.stream(job))) as pieces:
                    async for piece in pieces:
                        if piece is not None or not taken:
                            yield piece
                        taken = True
                return
            except ModelError:
                if not prompt.past:
                    raise
                prompt.past = prompt.past[(len(prompt.past) + 1) // 2 :]

    async def _events(
        self, turn: Stored, prompt: Prompt, pieces: AsyncGenerator[Piece | None], owner: str
    ) -> AsyncGenerator[str | Stored]:
        """Text as it comes, then the stored turn."""
        started, first = time.perf_counter(), None
        async for piece in pieces:
            if isinstance(piece, Prediction):
                seconds = (first, time.perf_counter() - started)
                record = self._answer_record(piece, prompt, seconds)
                finish = partial(self.store.finish_turn, owner, turn.answer_id, **record)
                yield await in_thread(finish)
                return
            if piece is not None:
                first = first or time.perf_counter() - started
                yield piece
        raise Refusal("engine_unavailable", "the answer did not come to its end")

    def _answer_record(
        self, prediction: Prediction, prompt: Prompt, seconds: tuple[float | None, float]
    ) -> dict[str, Any]:
        """What is stored of an answer."""
        first, total = seconds
        self._measure(prediction, first)
        sure, below, used = prediction.confidence, self.settings.abstain_below, prediction.usage
        unsure = below is not None and (sure is None or sure.value < below)
        row = prediction.to_row()
        return {
            "answer": prediction.text,
            "content": row["answer"],
            "confidence": None if sure is None else {"method": sure.method, "value": sure.value},
            "abstained": prediction.abstained or unsure,
            "scores": row.get("scores"),
            "evidence": row.get("evidence", []),
            "provenance": self.engine.about()
            | {
                "decoding": prompt.decoding.model_dump(exclude={"batch"}),
                "history_turns": len(prompt.past),
            },
            "usage": None
            if used is None
            else {name: getattr(used, name) for name in UsageOut.model_fields},
            "timing": {
                "first": None if first is None else round(first, 4),
                "total": round(total, 4),
            },
            "finish": prediction.finish,
        }

    def _measure(self, prediction: Prediction, first: float | None) -> None:
        self.metrics.answers.labels(prediction.finish or "whole").inc()
        if first is not None:
            self.metrics.first.observe(first)
        if prediction.usage is not None:
            self.metrics.tokens.labels("new").inc(prediction.usage.new_tokens)
            self.metrics.tokens.labels("prompt").inc(prediction.usage.prompt_tokens)

    async def _past(self, request: QuestionRequest) -> list[Turn]:
        """The turns before, about this same view: what the model is shown of the conversation."""
        if not self.history or request.conversation_id is None:
            return []
        transcript = await in_thread(
            self.store.conversation, request.owner, request.conversation_id
        )
        about = (request.image_id, request.view)
        past: list[Turn] = []
        for turn in reversed(transcript.turns):
            if (turn.image_id, turn.view) != about:
                break
            if turn.state == "done" and turn.answer:
                past.append(Turn(Question(turn.question), reply=Answer(text=turn.answer)))
        return past[::-1]

    def checked(self, question: str) -> str:
        """The question without blanks around it; Refusal if it is empty or too long."""
        text = question.replace("\x00", " ").strip()
        if not text:
            raise Refusal("question_empty", "the question is empty")
        if len(text) > self.settings.max_question:
            most = self.settings.max_question
            raise Refusal(
                "question_too_long", f"the question has {len(text):,} characters; at most {most:,}"
            )
        return text

    def _decoding(self, max_tokens: int | None) -> Decoding:
        most = min(max_tokens or self.decoding.max_new_tokens, self.settings.max_tokens)
        return self.decoding.model_copy(update={"max_new_tokens": most})

    def _store_later(self, owner: str, answer_id: str, code: str) -> None:
        """Close the turn though nobody waits: a cancelled task cannot wait for a thread."""
        self._later_on(in_thread(self._fail, owner, answer_id, code))

    def _fail(self, owner: str, answer_id: str, code: str) -> None:
        self.store.fail_turn(owner, answer_id, code, cancelled=code == "cancelled")

    def _later_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._stored)

    def _stored(self, task: asyncio.Task[Any]) -> None:
        self._later.discard(task)
        error = None if task.cancelled() else task.exception()
        deleted = isinstance(error, Refusal) and error.code == "not_found"
        if error is not None and not deleted:
            log().error("turn", fault=place_of(error))  # not its words: they may quote


async def primed(stream: AsyncIterator[Piece]) -> AsyncGenerator[Piece | None]:
    """The stream, opened by a None once the engine has taken the job.

    A refusal comes before that None, so that a caller can still be told by a status.
    """
    pending = asyncio.ensure_future(anext(stream))
    try:
        await asyncio.sleep(0)  # one step: the engine takes or refuses a job at once
        if not pending.done() or pending.exception() is None:
            yield None
        while True:
            try:
                piece = await pending
            except StopAsyncIteration:
                return
            yield piece
            pending = asyncio.ensure_future(anext(stream))
    finally:
        if not pending.done():
            pending.cancel()
            await asyncio.gather(pending, return_exceptions=True)
        await stream.aclose()  # type: ignore[attr-defined]
