"""How a picture becomes a network's input, and how boxes go there and come back in its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from vesalius.cases.case import Box

Triple = tuple[float, float, float]
BLACK, UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture of (width, height) lies in the square input, all in pixels of the input."""

    size: tuple[int, int]
    resized: tuple[int, int]
    left: int
    top: int
    flipped: bool = False

    def corners(self, boxes: Sequence[Box]) -> Tensor:
        """Boxes in pixels of the picture as corners (n, 4) in pixels of the input."""
        rows = [(b.x, b.y, b.x + b.width, b.y + b.height) for b in boxes]
        corners = torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)
        if self.flipped:
            corners[:, [0, 2]] = self.size[0] - corners[:, [2, 0]]
        return corners * self._scale() + self._shift()

    def back(self, corners: Tensor) -> Tensor:
        """Corners (n, 4) in pixels of the input in those of the picture, cut at its edges."""
        width, height = self.size
        own = (corners.double() - self._shift()) / self._scale().double()
        if self.flipped:
            own[:, [0, 2]] = width - own[:, [2, 0]]
        own[:, [0, 2]] = own[:, [0, 2]].clamp(0, width)
        own[:, [1, 3]] = own[:, [1, 3]].clamp(0, height)
        return own

    def _scale(self) -> Tensor:
        across, down = (new / old for new, old in zip(self.resized, self.size, strict=True))
        return torch.tensor((across, down, across, down))

    def _shift(self) -> Tensor:
        return torch.tensor((self.left, self.top, self.left, self.top), dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class Framing:
    """A square input: ``stretched`` to it, or the sides' ratio kept and filled up around it."""

    side: int
    stretched: bool = False
    fill: int = 114
    mean: Triple = BLACK
    std: Triple = UNIT

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Framing:
        """From its fields as JSON has them."""
        rows: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in content.items()
        }
        return cls(**rows)

    def place(self, size: tuple[int, int], scale: float = 1.0) -> Placement:
        """Where a picture of (width, height) lies: in the middle, enlarged by ``scale``."""
        if self.stretched:
            resized = (self.side, self.side)
        else:
            ratio = self.side / max(size)
            resized = (max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)))
        resized = (max(1, round(resized[0] * scale)), max(1, round(resized[1] * scale)))
        # Half a pixel goes to the right and below.
        left, top = (int(np.floor((self.side - length) / 2)) for length in resized)
        return Placement(size, resized, left, top)

    def pixels(self, image: Image.Image, place: Placement, brightness: float = 1.0) -> Tensor:
        """The input (3, side, side), float32: RGB in [0, 1], less ``mean``, over ``std``."""
        shown = image.resize(place.resized, Image.Resampling.BILINEAR)
        if place.flipped:
            shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if brightness != 1.0:
            shown = ImageEnhance.Brightness(shown).enhance(brightness)
        if shown.size != (self.side, self.side) or (place.left, place.top) != (0, 0):
            canvas = Image.new("RGB", (self.side, self.side), (self.fill,) * 3)
            canvas.paste(shown, (place.left, place.top))
            shown = canvas
        values = torch.from_numpy(np.array(shown)).permute(2, 0, 1).float() / 255
        if (self.mean, self.std) == (BLACK, UNIT):
            return values
        mean, std = (torch.tensor(three).reshape(3, 1, 1) for three in (self.mean, self.std))
        return (values - mean) / std
