"""A model behind a server: its questions side by side, its answers streamed or in order."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, VesaliusError
from vesalius.models import Piece
from vesalius.models.capabilities import Pictures
from vesalius.models.guard import require_pictures
from vesalius.models.remote.client import Client, Server
from vesalius.recipe import Decoding

POLL_SECONDS = 0.03
"""How often it is looked whether somebody still waits for an answer."""
T = TypeVar("T")
Event = tuple[int, str | Prediction | VesaliusError | None]
"""Of the dialogue at a place: text, and last what it ended with (None: it was not begun)."""


class RemoteModel:
    """The model of a server. It may be used from several threads at once.

    At most ``server.concurrency`` questions are with the server at a time.
    """

    def __init__(self, server: Server, *, needs_image: bool = True) -> None:
        self.server, self.needs_image = server, needs_image
        self.concurrency = server.concurrency
        self._loop = _event_loop()
        self._client = Client(server)
        self._looked = False

    @property
    def beyond(self) -> bool:
        """Whether what it is sent leaves this machine."""
        return self.server.beyond

    @property
    def takes_pictures(self) -> Pictures:
        """Whether pictures must, may or cannot come with a question."""
        if self.needs_image:
            return "required"
        return "optional" if self.server.pictures else "none"

    @property
    def pictures_in_turns(self) -> bool:
        """A request has each picture in the turn that shows it."""
        return True

    def look(self) -> None:
        """See that the server is there with the model; Unavailable or ModelError in one line."""
        self._wait(self._client.look())
        self._looked = True

    def connect(self, pictures: Callable[[], int]) -> None:
        """Look, and where pictures leave this machine say on stderr how many go to whom.

        ``pictures()`` counts them, and is called only then.
        """
        self.look()
        if self.beyond:
            count = pictures() if self.server.pictures else 0
            what = f"questions with {count} picture{'' if count == 1 else 's'}"
            to = f"{self.server.base} (model {self._client.model})"
            sys.stderr.write(f"{what} go to another machine: {to}\n")

    def about(self) -> dict[str, Any]:
        """What the server says: its model's name and revision, and whose it is."""
        facts = self._client.facts
        return {
            "model": self._client.model,
            "revision": facts.get("root"),
            "server": facts.get("owned_by"),
        }

    @property
    def listed(self) -> dict[str, dict[str, Any]]:
        """What the server says of each of its models, once it was looked at; by name."""
        return self._client.listed

    @property
    def answered_as(self) -> frozenset[str]:
        """Which models its answers so far say that they are of."""
        return frozenset(self._client.answered_as)

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, in order; confidence where the server tells probabilities.

        Unavailable where the server fails, ModelError where it cannot answer.
        """
        return list(self.predict_each(dialogues, decoding))

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The predictions one by one, in order.

        Where one fails no other is begun; what is with the server comes still, then the error.
        """
        halt = threading.Event()
        waiting: dict[int, Prediction] = {}
        failure: VesaliusError | None = None
        place = 0
        for at, event in self._events(dialogues, decoding, halt):
            if isinstance(event, VesaliusError):
                failure = failure or event
                halt.set()
            elif isinstance(event, Prediction):
                waiting[at] = event
                while place in waiting:
                    yield waiting.pop(place)
                    place += 1
        if failure is not None:
            yield from (waiting[at] for at in sorted(waiting))
            raise failure

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """The answers in pieces as the server sends them; closing the iterator lets go of it."""
        for place, event in self._events(dialogues, decoding, threading.Event(), cancelled):
            if isinstance(event, VesaliusError):
                raise event
            if event is not None:
                yield place, event

    def forget(self, picture: str) -> None:
        """Give up what is encoded of a picture, by its key; what the server keeps is its own."""
        self._client.forget(picture)

    def close(self) -> None:
        """Close the connections to the server."""
        self._wait(self._client.close())

    def _events(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        halt: threading.Event,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Event]:
        """What comes of each dialogue, as it comes; none is begun once ``halt`` is set."""
        if self.needs_image:
            require_pictures(dialogues)
        if not self._looked:
            self.connect(lambda: len({p.key for d in dialogues for p in d.pictures}))
        inbox: SimpleQueue[Event] = SimpleQueue()
        futures = {
            place: asyncio.run_coroutine_threadsafe(
                self._answer(place, dialogue, decoding, halt, inbox), self._loop
            )
            for place, dialogue in enumerate(dialogues)
        }
        running = set(futures)
        try:
            while running:
                for place in [p for p in running if cancelled is not None and cancelled(p)]:
                    futures[place].cancel()
                    running.discard(place)
                try:
                    place, event = inbox.get(timeout=POLL_SECONDS)
                except Empty:
                    continue
                if place in running:
                    yield place, event
                if not isinstance(event, str):
                    running.discard(place)
        finally:
            for future in futures.values():
                future.cancel()

    async def _answer(
        self,
        place: int,
        dialogue: Dialogue,
        decoding: Decoding,
        halt: threading.Event,
        inbox: SimpleQueue[Event],
    ) -> None:
        async with self._client.seats:
            if halt.is_set():
                inbox.put((place, None))
                return
            try:
                prediction = await self._client.answer(
                    dialogue, decoding, lambda text: inbox.put((place, text))
                )
                inbox.put((place, prediction))
            except VesaliusError as error:
                inbox.put((place, _at(dialogue, error)))
            except Exception as error:  # noqa: BLE001  # else who iterates would wait for ever
                what = f"asking the model's server failed ({type(error).__name__})"
                inbox.put((place, ModelError(what, where=dialogue.id)))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _at(dialogue: Dialogue, error: VesaliusError) -> VesaliusError:
    """The error of a question, which it names where it is about that question alone."""
    if type(error) is ModelError and error.where is None:
        return ModelError(error.what, where=dialogue.id, hint=error.hint)
    return error


@cache
def _event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of all remote models, in a thread that ends with the process."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="remote-models", daemon=True).start()
    return loop
