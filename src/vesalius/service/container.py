"""The parts of a running service, together: what routes find behind the app."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.errors import Refusal, VesaliusError
from vesalius.service.chat.asking import Asker
from vesalius.service.chat.intake import Intake
from vesalius.service.chat.questions import Questions
from vesalius.service.chat.review import Review
from vesalius.service.engine import Engine
from vesalius.service.http.access import Access, Caller
from vesalius.service.settings import Settings
from vesalius.service.store import Store
from vesalius.service.store.housekeeping import PATIENCE, Rounds
from vesalius.service.store.records import Due, Image
from vesalius.service.telemetry import Metrics, Traces, log, place_of
from vesalius.service.threads import in_thread
from vesalius.steps.calibrate import Calibration

RECONCILE_SECONDS = 3600.0
NEWS_SECONDS = 60.0
"""For which the same thing is not noted again."""
MOST_NOTED = 10_000
"""Things noted, from which on those of more than a minute ago are forgotten."""


@dataclass(slots=True)
class Service:
    """Settings, state, engine and what stands between them."""

    settings: Settings
    store: Store
    engine: Engine
    metrics: Metrics
    access: Access
    intake: Intake
    run: Path | None
    instruction: str
    """What is asked for a caption."""
    history: bool
    traces: Traces | None = None
    index: Callable[[str], bytes | None] | None = None
    """Small pictures of the run's cases by key."""
    review: Review | None = None
    """The run's answers that experts may rate."""
    calibration: Calibration | None = None
    """What the run's confidence is worth, where that was measured."""
    created: int = field(default_factory=lambda: int(time.time()))
    """When the service was started, in seconds since the epoch."""
    answering: Questions | None = None
    stopping: bool = False
    """Whether a stop was asked for: it serves still, and is not ready."""
    failed: bool = False
    """Whether the last try to load the model failed; the log says why."""
    card: str | None = None
    """The model card, once somebody asked for it."""
    suggestions: list[tuple[str, str]] | None = None
    """Questions by category that the run was asked, once somebody wanted them."""
    _noted: dict[tuple[str, ...], float] = field(default_factory=dict)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    async def start(self) -> None:
        """Load the engine beside what already serves, and begin to keep house."""
        self._spawn(self._load())
        self._spawn(self._housekeeping())

    async def stop(self) -> None:
        """Finish or refuse what is in line, store it, and end all processes."""
        await self.engine.stop(self.settings.grace)
        if self.answering is not None:
            await self.answering.writer.settle()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self.intake.close)
        await in_thread(self.store.close)
        if self.traces is not None:
            await asyncio.to_thread(self.traces.close)

    @property
    def ready(self) -> bool:
        """Whether questions are answered: the model has done its first inference."""
        return self.answering is not None and self.engine.ready

    @property
    def questions(self) -> Questions:
        """What answers and stores; Refusal until the model is loaded."""
        if self.answering is None:
            raise Refusal("not_ready", "the model is not ready", hint="GET /readyz says when")
        return self.answering

    @property
    def asker(self) -> Asker:
        """What answers; Refusal until the model is loaded."""
        return self.questions.asker

    def require_room(self) -> None:
        """Refusal at once, before anything is read, unless a question could be taken."""
        self.asker.require_room()

    @property
    def thumbnails(self) -> bool:
        """Whether the run's index holds small pictures of its cases."""
        return self.index is not None

    def thumbnail(self, key: str) -> bytes | None:
        """The small picture of a case in the run's index."""
        return None if self.index is None else self.index(key)

    def note(self, event: str, caller: Caller, about: str, outcome: str = "ok") -> None:
        """An entry in the audit log: hashes of who and what, no words.

        It tells of what is done already: a full disk is told to the operator, not to the caller.
        """
        try:
            self.store.log(event, owner=caller.owner, about=about, outcome=outcome)
        except Refusal as error:
            if error.code != "storage_full":
                raise
            log().error("unaudited", what=event, outcome=outcome)

    def note_refused(self, code: str) -> None:
        """That somebody was not let in; once a minute a code, or strangers would fill the log."""
        if self._is_news("access.refused", code):
            self.store.log("access.refused", outcome=code)

    def note_read(self, caller: Caller, image_id: str) -> None:
        """That a picture was looked at; once a minute a picture, or a wheel would fill the log."""
        if self._is_news("image.read", caller.owner, image_id):
            self.note("image.read", caller, image_id)

    def _is_news(self, *what: str) -> bool:
        """Whether this was not noted within the last minute."""
        now = time.monotonic()
        if len(self._noted) > MOST_NOTED:
            late = list(self._noted.items())  # at once: other threads add to it
            self._noted = {one: at for one, at in late if now - at < NEWS_SECONDS}
        if now - self._noted.get(what, -NEWS_SECONDS) < NEWS_SECONDS:
            return False
        self._noted[what] = now
        return True

    def expires(self) -> datetime:
        """When a picture that comes now will be deleted."""
        return datetime.now(UTC) + timedelta(hours=self.settings.image_hours)

    def delete_image(self, caller: Caller, image: Image) -> None:
        """Delete a picture for good, here and in the engine's memory; what was said of it stays."""
        self.store.delete_image(caller.owner, image.id)
        self.engine.forget(self.store.picture(image).key)
        self.metrics.deleted.labels("images").inc()
        self.note("image.deleted", caller, image.id)

    def look_later(self, image: Image) -> None:
        """Look for text in a picture beside what serves, in its owner's turn, and tell it then."""
        self._spawn(self._look(image))

    async def _look(self, image: Image) -> None:
        try:
            stored = partial(self.store.reencoded, image)
            inspected, regions = await self.intake.look(stored, image.owner)
            await in_thread(self.store.set_text, image.id, inspected)
        except VesaliusError as error:
            log().error("text", state="not looked for", code=error.code)  # the warning stays
        else:
            if regions:
                self.metrics.burned_in_text.labels("later").inc()

    async def _load(self) -> None:
        """Load the model; while it cannot be, say why, and try again: weights may come late."""
        wait = 5.0
        while True:
            try:
                await asyncio.to_thread(self.intake.warm)
                await self.engine.start()
                break
            except Exception as error:  # noqa: BLE001
                # The service stays up and says it is not ready; the log says why.
                why = str(error) if isinstance(error, VesaliusError) else place_of(error)
                self.failed = True
                log().error("engine", state="failed", fault=place_of(error), why=why)
            await asyncio.sleep(wait)
            wait = min(60.0, 2 * wait)
        self.failed = False
        asker = Asker(self.settings, self.engine, self.metrics, self.calibration)
        self.answering = Questions(asker, self.store, history=self.history)
        log().info("engine", state="ready")

    async def _housekeeping(self) -> None:
        """Delete what is past its time, and mend what a crash left, for as long as it serves."""
        rounds = Rounds(self.store, timedelta(days=self.settings.text_days))
        reconcile = 0.0
        while True:
            try:
                swept = await in_thread(rounds.sweep)
                if self.answering is not None:
                    await self.answering.pictures.forget_stale()
                self.access.rates.tidy()
                if isinstance(swept, Due):
                    # Nearly everything at once: is the clock right?
                    log().warning("sweep waits", due=swept.count, of=swept.whole, s=PATIENCE)
                else:
                    self.metrics.deleted.labels("images").inc(swept.images)
                    self.metrics.deleted.labels("conversations").inc(swept.conversations)
                if time.monotonic() >= reconcile:
                    # In a bucket this lists every shard, so it is done less often.
                    mended = await in_thread(self.store.reconcile)
                    reconcile = time.monotonic() + RECONCILE_SECONDS
                    log().debug("mended", files=mended.files_removed, rows=mended.rows_lost)
            except Exception as error:  # noqa: BLE001
                # A database that is away now may be back for the next round.
                log().error("sweep", fault=place_of(error))
            await asyncio.sleep(self.settings.sweep_seconds)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
