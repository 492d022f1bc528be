"""From a question to a stored answer. Knows no HTTP: events come as they happen.

A route folds them or sends them on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any

from vesalius.errors import VesaliusError
from vesalius.recipe import Decoding
from vesalius.service.chat.asking import Answered, Asker
from vesalius.service.chat.engine_pictures import EnginePictures
from vesalius.service.chat.history import QuestionRequest, build_prompt, require_count
from vesalius.service.chat.turn_writer import TurnWriter
from vesalius.service.http.answer_schemas import UsageOut
from vesalius.service.store import Store
from vesalius.service.store.records import Turn
from vesalius.service.threads import in_thread


@dataclass(frozen=True, slots=True)
class Accepted:
    """The question is in line; its answer will have this id."""

    answer_id: str
    conversation_id: str


Event = Accepted | str | Turn
"""First Accepted, then text as it comes, last the stored turn."""


class Questions:
    """Asks the engine, and keeps what was asked and answered."""

    def __init__(self, asker: Asker, store: Store, *, history: bool) -> None:
        self.asker, settings, engine = asker, asker.settings, asker.engine
        self.writer = TurnWriter(settings, store)
        self.pictures = EnginePictures(store, engine)
        self._store, self._engine, self._history = store, engine, history

    async def events(self, request: QuestionRequest) -> AsyncGenerator[Event]:
        """The events of one question. Closing it cancels; what was begun is stored as such.

        The engine takes the question before it is written down: what is refused leaves no trace.
        """
        self.asker.require_room()
        question = self.asker.checked(request.question)
        require_count(request, self._engine.about().get("most_pictures"))
        build = partial(build_prompt, self._store, request, question, history=self._history)
        prompt = await in_thread(build)
        self.pictures.add(prompt.image_ids)
        decoding = self.asker.decoding(request.max_tokens)
        async with aclosing(self.asker.ask(prompt.dialogue, decoding, shorten=True)) as steps:
            await anext(steps)
            turn = await self.writer.begin(request, question)
            done = False
            try:
                yield Accepted(turn.answer_id, turn.conversation_id)
                async for step in steps:
                    if isinstance(step, Answered):
                        record = self._record(step, decoding)
                        stored = await self.writer.finish(request.owner, turn.answer_id, record)
                        done = True
                        yield stored
                        return
                    if step is not None:
                        yield step
            except VesaliusError as error:
                self.writer.fail_later(request.owner, turn.answer_id, error.code)
                raise
            except (asyncio.CancelledError, GeneratorExit):
                if not done:
                    self.writer.fail_later(request.owner, turn.answer_id, "cancelled")
                raise

    def _record(self, answered: Answered, decoding: Decoding) -> dict[str, Any]:
        """What is stored of an answer: the whole of it, and how it came about."""
        prediction, row = answered.prediction, answered.prediction.to_row()
        first, used = answered.first, prediction.usage
        return {
            "answer": prediction.text,
            "content": row["answer"],
            "confidence": row.get("confidence"),
            "abstained": prediction.abstained,
            "assessment": None if answered.assessment is None else answered.assessment.to_row(),
            "scores": row.get("scores"),
            "evidence": row.get("evidence", []),
            "provenance": self._engine.about()
            | {
                "decoding": decoding.model_dump(exclude={"batch"}),
                "history_turns": answered.history_turns,
            },
            "usage": None
            if used is None
            else {name: getattr(used, name) for name in UsageOut.model_fields},
            "timing": {
                "first": None if first is None else round(first, 4),
                "total": round(answered.total, 4),
            },
            "finish": prediction.finish,
        }
