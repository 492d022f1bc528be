"""YOLOv8 and YOLO11: drawn or read from a file, with our classes by name, their loss and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vesalius.models.detection import ultralytics_library as ultralytics
from vesalius.models.detection.known_classes import KnownClasses, carry_over

TINY = (0.33, 0.0625, 256)
"""Depth and width as shares of the whole, and the most channels, of the tiny form."""
STRIDE = 32


class Trainable(nn.Module):
    """A network that is called in training as transformers calls its detectors."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, pixel_values: Tensor, labels: Sequence[dict[str, Tensor]], **_: Any
    ) -> dict[str, Tensor]:
        """The loss of pictures (B, 3, S, S) and their ``class_labels`` and ``boxes``."""
        targets = [(one["class_labels"], one["boxes"]) for one in labels]
        return {"loss": loss(self.network, pixel_values, targets)}


def drawn(architecture: str, classes: Sequence[str], *, tiny: bool = False) -> Any:
    """A network with random weights from torch's generator, which the caller seeds."""
    description = ultralytics.described(architecture, TINY if tiny else None)
    return _named(ultralytics.build(description, len(classes)), classes)


def pretrained(path: Path, classes: Sequence[str]) -> tuple[Any, KnownClasses]:
    """The network of a ``.pt`` file with our classes in the place of its own.

    What it learnt of a class is carried over by the class's name, never by its number.
    """
    old = ultralytics.read(path)
    names = tuple(str(old.names[place]) for place in sorted(old.names))
    new = _named(ultralytics.build(old.yaml, len(classes)), classes)
    return new, carry_over(new, old.state_dict(), _by_class(new), names, classes)


def loss(network: Any, pixels: Tensor, targets: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The loss of pictures (B, 3, S, S) in [0, 1] whose targets are classes (n,), boxes (n, 4).

    Boxes are centre, width and height in shares of the input. Box, class and distribution losses
    are each a mean over what was assigned, so their sum does not depend on the batch's size; of
    pictures without a box it is finite.
    """
    counts = torch.tensor([len(classes) for classes, _ in targets])
    batch = {
        "batch_idx": torch.repeat_interleave(torch.arange(len(counts)), counts).float(),
        "cls": torch.cat([classes for classes, _ in targets]).float(),
        "bboxes": torch.cat([boxes for _, boxes in targets]),
    }
    moved = {name: value.to(pixels.device) for name, value in batch.items()}
    parts, _ = network.init_criterion()(network(pixels), moved)
    total: Tensor = parts.sum() / len(pixels)
    return total


def detections(network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Corners (B, N, 4) in pixels of the input, and probabilities (B, N, C), one row an anchor."""
    output = network(pixels)[0].transpose(1, 2)
    centre, size, scores = output.split((2, 2, output.shape[2] - 4), dim=2)
    return torch.cat((centre - size / 2, centre + size / 2), dim=2), scores


def _named(network: Any, classes: Sequence[str]) -> Any:
    network.names = dict(enumerate(classes))
    return network


def _by_class(network: Any) -> set[str]:
    """The tensors that have a row a class: the last layer of each branch that tells classes."""
    head = f"model.{len(network.model) - 1}.cv3"
    branches = enumerate(network.model[-1].cv3)
    return {
        f"{head}.{place}.{len(branch) - 1}.{kind}"
        for place, branch in branches
        for kind in ("weight", "bias")
    }
