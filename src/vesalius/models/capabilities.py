"""What a learner or a model may be able to do beside its contract; each is optional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, get_args, runtime_checkable

from vesalius.errors import UnknownName
from vesalius.models import Control, Model

CONTROLS: tuple[str, ...] = get_args(Control)


@dataclass(frozen=True, slots=True)
class HubCard:
    """How exported weights are loaded by others: the hub's task, transformers' class, a remark."""

    pipeline: str = "image-text-to-text"
    loader: str = "AutoModelForImageTextToText"
    remark: str = "Prompts are written by the processor's chat template, exactly as in training."


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
