"""What answers behind the API: jobs in, pieces of text and one prediction out.

An engine hosts any model: ``local`` in a process of its own, ``in_process`` in the service's, where
the model computes nothing (``endpoint``: it is on a server; ``rehearsal``: saved answers, or an
echo). Nothing here imports a model.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Protocol

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.recipe import Decoding

Piece = str | Prediction
"""Text as it comes; last, and once, the prediction. The texts joined and stripped are its text."""


@dataclass(frozen=True, slots=True)
class Job:
    """A dialogue whose last turn is to be answered, and how.

    ``deadline``: seconds of the monotonic clock, which this machine's processes share and nobody
    sets, past which nobody waits for the answer. Pictures are
    read where the model is, so their ``read`` must survive pickling; their keys name their content.
    """

    id: str
    dialogue: Dialogue
    decoding: Decoding
    deadline: float


class Engine(Protocol):
    """A backend of the service. It belongs to the event loop that it was started on."""

    @property
    def ready(self) -> bool:
        """Whether it answers: loaded, and warmed up by a first inference."""

    def about(self) -> dict[str, Any]:
        """Where answers come from: model, revision, hashes, recipe, preprocessing, software."""

    def load(self) -> dict[str, Any]:
        """Numbers for metrics.

        ``queued`` and ``running`` jobs; ``wait``: seconds that the queued will take, at least 1;
        ``batch_sizes`` (size -> how many batches); ``restarts``;
        ``cache_bytes``, ``cache_hits`` and ``cache_misses`` of kept conversations.
        """

    async def start(self) -> None:
        """Return when ready; a VesaliusError says why it cannot be."""

    async def stop(self, grace: float) -> None:
        """Take no new jobs; give those there ``grace`` seconds, then refuse them."""

    def forget(self, picture: str) -> None:
        """Give up, soon, what is kept in memory of a picture, by its key, in every view of it."""

    def stream(self, job: Job) -> AsyncGenerator[Piece]:
        """The answer in pieces; closing the iterator cancels it within a second.

        Refusal: ``overloaded`` (at once, where too many wait), ``deadline``, ``shutting_down``,
        ``engine_unavailable``. ImageError or ModelError where the dialogue cannot be answered.
        """
