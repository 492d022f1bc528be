"""The one way to ask: is there room, what may be asked, the engine's pieces, their counting.

Knows no HTTP and stores nothing: stored questions and those of OpenAI's clients both come here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, Refusal, VesaliusError
from vesalius.language.script import is_blank
from vesalius.recipe import Decoding
from vesalius.service.chat.assessment import Assessment, assessed, judged
from vesalius.service.chat.history import shortened
from vesalius.service.engine import Engine, Job, Piece
from vesalius.service.settings import Settings
from vesalius.service.telemetry import Metrics
from vesalius.steps.calibrate import Calibration


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer, marked as abstained where the service's threshold says so.

    ``history_turns``: earlier turns that the model was shown. ``first`` and ``total``: seconds to
    the first piece of text (None: there was none) and to the end.
    """

    prediction: Prediction
    history_turns: int
    first: float | None
    total: float
    assessment: Assessment | None = None


Step = str | Answered | None
"""None once the engine has taken the question, then text as it comes, last the answer."""


class Asker:
    """Asks the engine within the service's limits, and counts what comes of it."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        metrics: Metrics,
        calibration: Calibration | None = None,
    ) -> None:
        self.settings, self.engine, self.metrics = settings, engine, metrics
        self.calibration = calibration
        self.own_decoding = Decoding(**engine.about().get("decoding", {}))

    def require_room(self) -> None:
        """Refusal at once, before anything is read or written, if the engine cannot take it."""
        if not self.engine.ready:
            raise Refusal("not_ready", "the model is not ready", hint="GET /readyz says when")
        load = self.engine.load()
        if load["queued"] >= self.settings.queue:
            detail = f"{load['queued']} questions are waiting already"
            raise Refusal("overloaded", detail, retry_after=load["wait"], hint="ask again later")

    def checked(self, question: str) -> str:
        """The question without blanks around it; Refusal if it is empty or too long."""
        text = question.replace("\x00", " ").strip()
        if is_blank(text):
            raise Refusal("question_empty", "the question is empty")
        if len(text) > self.settings.max_question:
            most = self.settings.max_question
            raise Refusal(
                "question_too_long", f"the question has {len(text):,} characters; at most {most:,}"
            )
        return text

    def decoding(
        self,
        max_tokens: int | None,
        *,
        temperature: float | None = None,
        seed: int | None = None,
    ) -> Decoding:
        """The run's own decoding with what a caller may change of it, within the limits."""
        own = self.own_decoding
        most = min(max_tokens or own.max_new_tokens, self.settings.max_tokens)
        update: dict[str, int | float] = {"max_new_tokens": most}
        if temperature is not None:
            update |= {"temperature": temperature, "beams": 1 if temperature else own.beams}
        if seed is not None:
            update["seed"] = seed
        return own.model_copy(update=update)

    async def ask(
        self, dialogue: Dialogue, decoding: Decoding, *, shorten: bool = False
    ) -> AsyncGenerator[Step]:
        """The steps of one answer; closing the iterator cancels it.

        With ``shorten`` a dialogue too long for the model loses its oldest turns, else it is a
        ModelError. Refusals of the engine come before the first step.
        """
        taken = ended = False
        try:
            async with aclosing(self._steps(dialogue, decoding, shorten)) as steps:
                async for step in steps:
                    if isinstance(step, Answered):
                        ended = True
                        self._count(step)
                    yield step
                    taken = True
            if not ended:
                raise Refusal("engine_unavailable", "the answer did not come to its end")
        except VesaliusError as error:
            if taken and not ended:
                self.metrics.answers.labels(error.code).inc()
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if taken and not ended:
                self.metrics.answers.labels("cancelled").inc()
            raise

    async def _steps(
        self, dialogue: Dialogue, decoding: Decoding, shorten: bool
    ) -> AsyncGenerator[Step]:
        deadline, taken = time.monotonic() + self.settings.deadline, False
        started, first = time.perf_counter(), None
        while True:
            job = Job(dialogue.id, dialogue, decoding, deadline)
            try:
                async with aclosing(primed(self.engine.stream(job))) as pieces:
                    async for piece in pieces:
                        if isinstance(piece, Prediction):
                            total = time.perf_counter() - started
                            yield self._answered(piece, dialogue, first, total)
                            return
                        if piece is not None:
                            first = first or time.perf_counter() - started
                        if piece is not None or not taken:
                            yield piece
                        taken = True
                return
            except ModelError:
                if not shorten or len(dialogue.turns) == 1:
                    raise
                dialogue = shortened(dialogue)

    def _answered(
        self, prediction: Prediction, dialogue: Dialogue, first: float | None, total: float
    ) -> Answered:
        """The answer with what is known of its worth."""
        prediction = prediction.at_operating_point()
        assessment = assessed(prediction, self.calibration)
        prediction = judged(prediction, assessment, self.settings.abstain_below)
        return Answered(prediction, len(dialogue.turns) - 1, first, total, assessment)

    def _count(self, answered: Answered) -> None:
        self.metrics.answers.labels(answered.prediction.finish or "whole").inc()
        if answered.first is not None:
            self.metrics.first.observe(answered.first)
        usage = answered.prediction.usage
        if usage is not None:
            self.metrics.tokens.labels("new").inc(usage.new_tokens)
            self.metrics.tokens.labels("prompt").inc(usage.prompt_tokens)


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
