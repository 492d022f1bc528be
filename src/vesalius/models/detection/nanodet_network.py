"""NanoDet-g: a convolutional detector of 3.8 million weights, as a plain module.

Source: RangiLyu, NanoDet, https://github.com/RangiLyu/nanodet (Apache-2.0). Its batch norms are
folded into the convolutions, as in the COCO weights that are published without them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torchvision.ops import box_convert

from vesalius.models.detection.nanodet_loss import BINS, STRIDES, centres, decoded, gfl_loss

WIDTHS = {"g": 32, "tiny": 4}
"""Channels of the stem, by size; all others are multiples of it."""
PRIOR = 0.01
"""The probability of a class that has not been learnt, at every place."""
SLOPE = 0.1


def convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """3 x 3, and a leaky rectifier."""
    return nn.Sequential(nn.Conv2d(before, after, 3, stride, 1), nn.LeakyReLU(SLOPE))


class Pair(nn.Module):
    """Two convolutions, the outputs of both side by side."""

    def __init__(self, before: int, half: int) -> None:
        super().__init__()
        self.first, self.second = convolution(before, half), convolution(half, half)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 2 half, H, W)."""
        first = self.first(x)
        return torch.cat((self.second(first), first), dim=1)


class Stage(nn.Module):
    """A cross-stage partial block: what went in is beside what came out."""

    def __init__(self, before: int, width: int, stride: int, pairs: int) -> None:
        super().__init__()
        self.first = convolution(before, width, stride)
        self.pairs = nn.Sequential(*(Pair(width, width // 2) for _ in range(pairs)))
        self.last = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, before, H, W) to (B, 2 width, H / stride, W / stride)."""
        x = self.first(x)
        return torch.cat((self.last(self.pairs(x)), x), dim=1)


class Head(nn.Module):
    """Of one grid: class logits, and for each side of the box logits of its distance."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.shared = convolution(width, width)
        self.classes = nn.Conv2d(width, classes, 1)
        self.sides = nn.Conv2d(width, 4 * BINS, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H W, C) and (B, H W, 4 BINS)."""
        x = self.shared(x)
        classes, sides = self.classes(x).flatten(2), self.sides(x).flatten(2)
        return classes.transpose(1, 2), sides.transpose(1, 2)


class NanoDet(nn.Module):
    """Pictures (B, 3, S, S) in RGB, normalised as ImageNet; S is a multiple of 32.

    Their places are those of three grids, the finest first, each row by row.
    """

    def __init__(self, classes: int, width: int = WIDTHS["g"]) -> None:
        super().__init__()
        self.stem = convolution(3, width, 2)
        self.stages = nn.ModuleList(
            [
                Stage(width, width, stride=1, pairs=1),
                Stage(2 * width, 2 * width, stride=2, pairs=2),
                Stage(4 * width, 4 * width, stride=2, pairs=2),
                Stage(8 * width, 8 * width, stride=2, pairs=3),
            ]
        )
        neck = 4 * width
        self.laterals = nn.ModuleList(nn.Conv2d(width * n, neck, 1) for n in (4, 8, 16))
        self.heads = nn.ModuleList(Head(neck, classes) for _ in STRIDES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE, nonlinearity="leaky_relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        for head in self.heads:
            assert isinstance(head, Head)
            for last in (head.classes, head.sides):
                nn.init.normal_(last.weight, std=0.01)
            nn.init.constant_(head.classes.bias, -math.log((1 - PRIOR) / PRIOR))  # type: ignore[arg-type]

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (B, N, C), and logits of the sides' distances (B, N, 4, BINS)."""
        x = functional.max_pool2d(self.stem(pixels), 3, 2, 1)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        fine, middle, coarse = (
            lateral(x) for lateral, x in zip(self.laterals, levels[1:], strict=True)
        )
        middle = middle + resized(coarse, middle)
        fine = fine + resized(middle, fine)
        middle = middle + resized(fine, middle)
        coarse = coarse + resized(middle, coarse)
        outputs = [head(x) for head, x in zip(self.heads, (fine, middle, coarse), strict=True)]
        logits, sides = (torch.cat(some, dim=1).float() for some in zip(*outputs, strict=True))
        return logits, sides.reshape(*sides.shape[:2], 4, BINS)

    def by_class(self) -> set[str]:
        """The tensors that have a row a class."""
        return {name for name in self.state_dict() if ".classes." in name}


def resized(x: Tensor, other: Tensor) -> Tensor:
    """To the height and width of the other, by straight lines between its places."""
    return functional.interpolate(x, size=other.shape[2:], mode="bilinear", align_corners=False)


class Trainable(nn.Module):
    """A network beside the moving average of its weights: one learns, the other answers.

    The average is in buffers, so that checkpoints have it and a training that goes on goes on with
    it. It is taken at each batch, before its step.
    """

    DECAY = 0.998

    def __init__(self, network: NanoDet, names: Sequence[str], size: str) -> None:
        super().__init__()
        self.network, self.names, self.size = network, tuple(names), size
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        for name, value in network.named_parameters():
            self.register_buffer(_buffer(name), value.detach().clone())

    def forward(
        self, pixel_values: Tensor, labels: Sequence[dict[str, Tensor]], **_: Any
    ) -> dict[str, Tensor]:
        """The loss of pictures and their ``class_labels`` and ``boxes`` (centre, size, shares)."""
        if self.training:
            self._average()
        logits, sides = self.network(pixel_values)
        side, device = pixel_values.shape[-1], logits.device
        targets = [
            (
                one["class_labels"].to(device),
                box_convert(one["boxes"].to(device) * side, "cxcywh", "xyxy"),
            )
            for one in labels
        ]
        return {"loss": gfl_loss(logits, sides, targets, side)}

    def averaged(self) -> dict[str, Tensor]:
        """The averaged weights, named as the network names its own."""
        buffers = dict(self.named_buffers())
        return {name: buffers[_buffer(name)] for name, _ in self.network.named_parameters()}

    def detections(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Corners (B, N, 4) in pixels of the input, and probabilities (B, N, C)."""
        logits, sides = functional_call(self.network, self.averaged(), (pixels,))
        points, strides = centres(pixels.shape[-1], logits.device)
        return decoded(sides, points, strides), logits.sigmoid()

    @torch.no_grad()
    def _average(self) -> None:
        number = int(self.seen)  # type: ignore[arg-type]
        rate = 1 - min(self.DECAY, (1 + number) / (10 + number))  # the first steps soon forgotten
        for value, average in zip(self.network.parameters(), self.averaged().values(), strict=True):
            average.lerp_(value.to(average.dtype), rate)
        self.seen += 1  # type: ignore[operator, assignment]


def _buffer(name: str) -> str:
    return "average_" + name.replace(".", "_")
