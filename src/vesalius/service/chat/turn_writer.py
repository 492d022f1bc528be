"""Turns written down: before they are answered, after, and where whoever asked has left."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Any

from vesalius.errors import Refusal
from vesalius.service.chat.history import QuestionRequest
from vesalius.service.settings import Settings
from vesalius.service.store import Store
from vesalius.service.store.records import Turn
from vesalius.service.telemetry import log, place_of
from vesalius.service.threads import in_thread


class TurnWriter:
    """Opens and closes turns in the store; what nobody waits for is written all the same."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store
        self._later: set[asyncio.Task[Any]] = set()

    async def begin(self, request: QuestionRequest, question: str) -> Turn:
        """The turn, written down; where the caller leaves meanwhile, closed once it is there."""
        writing = asyncio.ensure_future(in_thread(self._begin, request, question))
        try:
            return await asyncio.shield(writing)
        except asyncio.CancelledError:
            self._start(self._cancel(writing, request.owner))
            raise

    async def finish(self, owner: str, answer_id: str, record: dict[str, Any]) -> Turn:
        """The turn with its answer."""
        return await in_thread(partial(self._store.finish_turn, owner, answer_id, **record))

    def fail_later(self, owner: str, answer_id: str, code: str) -> None:
        """Close the turn though nobody waits: a cancelled task cannot wait for a thread."""
        self._start(in_thread(self._fail, owner, answer_id, code))

    async def settle(self) -> None:
        """Wait for what is still to be stored."""
        if self._later:
            await asyncio.gather(*self._later, return_exceptions=True)

    def _begin(self, request: QuestionRequest, question: str) -> Turn:
        return self._store.begin_turn(
            request.owner,
            request.conversation_id,
            request.image_id,
            question,
            view=request.view,
            images=request.image_ids,
            replaces=request.replaces,
            max_turns=self._settings.max_turns,
            seconds=self._settings.deadline + self._settings.grace,
        )

    async def _cancel(self, writing: asyncio.Future[Turn], owner: str) -> None:
        turn = await writing
        await in_thread(self._fail, owner, turn.answer_id, "cancelled")

    def _fail(self, owner: str, answer_id: str, code: str) -> None:
        self._store.fail_turn(owner, answer_id, code, cancelled=code == "cancelled")

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._later.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._later.discard(task)
        error = None if task.cancelled() else task.exception()
        deleted = isinstance(error, Refusal) and error.code == "not_found"
        if error is not None and not deleted:
            log().error("turn", fault=place_of(error))  # not its words: they may quote
