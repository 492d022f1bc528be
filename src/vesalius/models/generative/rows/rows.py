"""What a model reads of dialogues: one image prefix, and behind it a segment per dialogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

IGNORED = -100

Images = Mapping[str, "torch.Tensor"]
PictureKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The shared head as tokens, with what the vision tower needs (``pixel_values`` ...).

    ``labels`` as a segment's: replies that stand before the last picture. A prefix that bears loss
    has one segment.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    images: Images
    image_tokens: int
    key: PictureKey = ()
    """What names its pictures where something of them may be kept; () where nothing may."""
    later: Callable[[int], Images] | None = None
    """Where something may be kept: what the tower needs of all pictures but the first so many."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A dialogue's own tokens; ``labels`` equals ``ids`` where loss is borne, -100 elsewhere."""

    dialogue: str
    ids: tuple[int, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence: a prefix and the segments that see it, and only it and themselves."""

    prefix: Prefix
    segments: tuple[Segment, ...]

    @property
    def length(self) -> int:
        """Tokens in the row."""
        return len(self.prefix.ids) + sum(len(s.ids) for s in self.segments)

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels of all its tokens, in their order."""
        return self.prefix.labels + sum((s.labels for s in self.segments), ())
