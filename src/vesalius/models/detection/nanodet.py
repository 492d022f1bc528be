"""The detector ``nanodet``: NanoDet-g, small enough to learn on two processor cores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from vesalius.errors import RecipeError
from vesalius.models.capabilities import HubCard
from vesalius.models.detection import nanodet_weights
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import Framing
from vesalius.models.detection.learner import Detector, weighed
from vesalius.models.detection.nanodet_loss import STRIDES
from vesalius.models.detection.nanodet_network import WIDTHS, NanoDet, Trainable
from vesalius.models.detection.settings import Augmentation, DetectorSettings, DetectorTraining
from vesalius.training.parts import count

log = logging.getLogger(__name__)
SIDE = 416
MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)
STD = (58.395 / 255, 57.12 / 255, 57.375 / 255)

CODE = """from pathlib import Path

from vesalius.models.detection import nanodet_weights

network, classes, size = nanodet_weights.saved(Path("FOLDER"))"""


class NanodetTraining(DetectorTraining):
    """How weights are trained."""

    learning_rate: float = Field(default=5e-4, gt=0)
    """The highest rate, reached after the warm-up."""
    schedule: Literal["linear", "cosine", "constant", "stable"] = "cosine"
    """How the rate falls after the warm-up; ``stable`` holds it and falls in the last fifth."""
    weight_decay: float = Field(default=0.05, ge=0)
    """AdamW's decoupled weight decay."""
    clip: float = Field(default=10.0, gt=0)
    """The largest gradient norm."""


class NanodetSettings(DetectorSettings):
    """NanoDet-g from weights that are here, or from random ones."""

    weights: str | None = None
    """A file of ``vesalius fetch-weights nanodet``, an exported folder, or the package of COCO's
    weights (``.tgz``, or unpacked); nothing is fetched. Null: random weights."""
    size: Literal["g", "tiny"] = "g"
    """The published one, or one of few channels, for tests; ``weights`` have their own."""
    augmentation: Augmentation = Augmentation(scale=0.5, brightness=0.2)
    training: NanodetTraining = NanodetTraining()


class Nanodet(Detector):
    """NanoDet-g: boxes at every place of three grids, without the less sure doubles.

    What answers is a moving average of the weights in training.
    Source: RangiLyu, NanoDet, https://github.com/RangiLyu/nanodet (Apache-2.0).
    """

    Settings: ClassVar[type[NanodetSettings]] = NanodetSettings
    overlap: ClassVar[float | None] = 0.6
    card: ClassVar[HubCard] = HubCard(
        "object-detection",
        remark="Its scores are the network's; those of the run are calibrated (`detector.json`).",
        library="vesalius",
        code=CODE,
    )

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with a network of few channels and random weights."""
        kept = {key: value for key, value in block.items() if key != "weights"}
        return kept | {"size": "tiny", "image_size": 64}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory of the network."""
        number = count(NanoDet(1, WIDTHS[self.settings.size]))
        # Beside what every detector has, the average of the weights.
        return weighed(number, f"the size {self.settings.size}", copies=5)

    def check(self, *, validated: bool) -> None:
        """As every detector; and RecipeError for a side that the grids do not divide."""
        side = self.settings.image_size or SIDE
        if side % STRIDES[-1]:
            what = f"{side} is no multiple of {STRIDES[-1]}"
            raise RecipeError(what, where="model.image_size")
        super().check(validated=validated)

    def new(self, classes: BoxClasses) -> tuple[nn.Module, Framing, dict[str, Any]]:
        """A network of random weights, or one whose weights know classes by name."""
        framing = Framing(self.settings.image_size or SIDE, mean=MEAN, std=STD)
        weights, size = self.settings.weights, str(self.settings.size)
        if weights is None:
            network, facts = NanoDet(len(classes.names), WIDTHS[size]), {"weights": "random"}
        else:
            network, known, size = nanodet_weights.pretrained(Path(weights), classes.names)
            log.warning("%s: its weights know %s", Path(weights).name, known)
            facts = {"weights": "pretrained", "weights_classes": str(known)}
        return Trainable(network, classes.names, size), framing, facts

    def detect(self, network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """One row a place of the grids."""
        corners, scores = network.detections(pixels)
        return corners, scores

    def save(self, network: Any, framing: Framing, folder: Path) -> None:
        """The averaged weights, with the names of their classes."""
        path = folder / nanodet_weights.FILE
        nanodet_weights.write(network.averaged(), network.names, network.size, path)

    def saved(self, folder: Path, classes: BoxClasses) -> nn.Module:
        """The network of that file."""
        network, names, size = nanodet_weights.saved(folder)
        return Trainable(network, names, size)
