"""What a learner or a model may be able to do beside its contract; each is optional."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.errors import UnknownName
from vesalius.models import Control, Model
from vesalius.recipe import Decoding, Retrieve

CONTROLS: tuple[str, ...] = get_args(Control)


@dataclass(frozen=True, slots=True)
class HubCard:
    """How exported weights are loaded by others: the hub's task, transformers' class, a remark.

    ``licence``: the hub's id of the one licence under which the weights may be passed on, where
    what they were trained with decides that. ``code``: how another ``library`` loads them.
    """

    pipeline: str = "image-text-to-text"
    loader: str = "AutoModelForImageTextToText"
    remark: str = "Prompts are written by the processor's chat template, exactly as in training."
    processor: str = "AutoProcessor"
    library: str = "transformers"
    licence: str | None = None
    code: str | None = None


@runtime_checkable
class Shrinkable(Protocol):
    """An entry with a tiny form: the same code on small random weights, offline."""

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The model block with random weights in the place of real ones; RecipeError."""


@runtime_checkable
class Weighable(Protocol):
    """A learner that trains a network whose size is known before its weights are there."""

    def weigh(self) -> dict[str, Any]:
        """Parameters, those that train, least memory in MiB, and ``source``; empty if it is drawn.

        ModelError where the sizes are not known.
        """

    def hub_weights(self) -> tuple[str, ...]:
        """Hub ids or folders that a fit reads; what is made or packaged here is left out."""


@runtime_checkable
class Sighted(Protocol):
    """A learner whose model looks at so many pictures of a question; more are refused."""

    most_pictures: ClassVar[int]


@runtime_checkable
class Wordless(Protocol):
    """A learner whose model reads no system turn; any other is rendered or refused."""

    reads_system: ClassVar[bool]


@runtime_checkable
class Carded(Protocol):
    """A learner whose exported weights are loaded in a way of their own."""

    @property
    def card(self) -> HubCard:
        """How others load them."""


@runtime_checkable
class Embedding(Protocol):
    """A model that has vectors of pictures, by which others may search."""

    def embed(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """A vector a picture, float32 (n, d), in order; ImageError names one that is unreadable."""


@runtime_checkable
class Steerable(Protocol):
    """A model that writes, whose next tokens' scores can be changed, and whose beams be had."""

    def steered(self, steering: Any) -> Model:
        """The same model, the scores of its next tokens changed (``generate.Steering``)."""

    def alternatives(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> list[list[Prediction]]:
        """All beams of each dialogue, the best first; ModelError for fewer than two beams."""


@runtime_checkable
class Neighboured(Protocol):
    """A model whose answers rest on retrieved cases, and that can be asked under a control."""

    def with_neighbours(self, control: str) -> Model:
        """The same model under a :data:`~vesalius.models.Control`; UnknownName for any other."""


def require_control(control: str) -> Control:
    """The name of a control; UnknownName if it is none."""
    for name in get_args(Control):
        if name == control:
            return name  # type: ignore[no-any-return]
    raise UnknownName("control of neighbours", control, CONTROLS)


def controlled(model: Model, control: str) -> Model:
    """A model under a control of its neighbours; one that retrieves nothing as it is."""
    require_control(control)
    return model.with_neighbours(control) if isinstance(model, Neighboured) else model


Pictures = Literal["required", "optional", "none"]
"""Whether a model answers from pictures alone, also without, or never sees any."""


@runtime_checkable
class Conversational(Protocol):
    """A learner, or its model, that reads the turns before a question."""

    @property
    def takes_pictures(self) -> Pictures:
        """Whether the last question must, may or cannot come with pictures."""

    @property
    def pictures_in_turns(self) -> bool:
        """Whether later turns may show pictures; else all stand before the first question."""


@runtime_checkable
class Budgeted(Protocol):
    """A model that knows whether a prompt is too long for it."""

    def fits(self, dialogue: Dialogue) -> bool:
        """Whether the dialogue, pictures included, is short enough to be answered."""


@runtime_checkable
class Combining(Protocol):
    """A wrapper that refuses members by what they are, before anything is fitted."""

    def check_members(self, members: Mapping[str, Any]) -> None:
        """RecipeError that names the member whose learner it cannot wrap."""


@runtime_checkable
class Indexing(Protocol):
    """A learner whose model looks cases up in the run's index, which it writes."""

    @property
    def index_settings(self) -> Retrieve:
        """How the index is made and searched."""
