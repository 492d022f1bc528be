"""The detector ``yolo``: YOLOv8 and YOLO11 by ultralytics, under its licence, AGPL-3.0."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from torch import Tensor, nn

from vesalius.errors import RecipeError
from vesalius.models.capabilities import HubCard
from vesalius.models.detection import ultralytics_library, yolo_network
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import Framing
from vesalius.models.detection.learner import Detector, weighed
from vesalius.models.detection.settings import DetectorSettings, DetectorTraining
from vesalius.training.parts import count

log = logging.getLogger(__name__)
FILE = "model.pt"
SIDE = 640
CODE = """from ultralytics import YOLO

model = YOLO("FOLDER/model.pt")"""


class YoloTraining(DetectorTraining):
    """How weights are trained; the defaults are ultralytics' own for a class or two."""

    epochs: float = Field(default=5.0, gt=0)
    """Passes over the training split."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """The highest rate, reached after the warm-up."""
    weight_decay: float = Field(default=5e-4, ge=0)
    """AdamW's decoupled weight decay."""
    clip: float = Field(default=10.0, gt=0)
    """The largest gradient norm."""


class YoloSettings(DetectorSettings):
    """A YOLO from a file, or of a size from random weights."""

    architecture: str = Field(default="yolov8n", pattern=r"^(yolov8|yolo11)[nsmlx]$")
    """Of random weights: yolov8 or yolo11, and n, s, m, l or x; a file has its own."""
    tiny: bool = False
    """A network of the architecture's kind with few channels, for tests."""
    weights: str | None = None
    """A ``.pt`` file of ultralytics that is here, or an exported folder (nothing is fetched); null:
    random weights. It is a pickle, and read with a list of known classes: no other code runs."""
    training: YoloTraining = YoloTraining()


class Yolo(Detector):
    """YOLOv8 and YOLO11: boxes at every place of three grids, without the less sure doubles.

    Its package is under AGPL-3.0, and so are weights trained with it: that is told at every fit,
    stands on the card, and no export goes under another licence.
    Source: G. Jocher et al., Ultralytics YOLO, https://github.com/ultralytics/ultralytics.
    """

    Settings: ClassVar[type[YoloSettings]] = YoloSettings
    overlap: ClassVar[float | None] = 0.7
    card: ClassVar[HubCard] = HubCard(
        "object-detection",
        remark="Its scores are the network's; those of the run are calibrated (`detector.json`).",
        library="ultralytics",
        licence=ultralytics_library.LICENCE.lower(),
        code=CODE,
    )

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with a network of few channels and random weights."""
        kept = {key: value for key, value in block.items() if key not in {"weights", "image_size"}}
        return kept | {"tiny": True, "image_size": 64}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory of the architecture; MissingExtra without its package."""
        number = count(self._drawn(["box"]))
        return weighed(number, f"the architecture {self.settings.architecture}")

    def check(self, *, validated: bool) -> None:
        """As every detector; and MissingExtra without the package, whose licence is told."""
        side = self.settings.image_size or SIDE
        if side % yolo_network.STRIDE:
            what = f"{side} is no multiple of {yolo_network.STRIDE}"
            raise RecipeError(what, where="model.image_size")
        ultralytics_library.announce()
        super().check(validated=validated)

    def new(self, classes: BoxClasses) -> tuple[nn.Module, Framing, dict[str, Any]]:
        """A network of random weights, or one whose weights know classes by name."""
        framing = Framing(self.settings.image_size or SIDE)
        if self.settings.weights is None:
            network, facts = self._drawn(classes.names), {"weights": "random"}
        else:
            named = Path(self.settings.weights)
            path = named / FILE if named.is_dir() else named
            network, known = yolo_network.pretrained(path, classes.names)
            log.warning("%s: its weights know %s", path.name, known)
            facts = {"weights": "pretrained", "weights_classes": str(known)}
        licence = {"licence": ultralytics_library.LICENCE}
        return yolo_network.Trainable(network), framing, facts | licence

    def detect(self, network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """One row a place of the grids."""
        return yolo_network.detections(network.network, pixels)

    def save(self, network: Any, framing: Framing, folder: Path) -> None:
        """The file that ``YOLO(path)`` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        ultralytics_library.write(network.network, folder / FILE)

    def saved(self, folder: Path, classes: BoxClasses) -> nn.Module:
        """The network of that file."""
        return yolo_network.Trainable(ultralytics_library.read(folder / FILE))

    def prepared(self, network: Any) -> nn.Module:
        """With each normalisation folded into the convolution before it, as ultralytics asks it."""
        network.network = network.network.fuse(verbose=False)
        return super().prepared(network)

    def _drawn(self, names: Sequence[str]) -> Any:
        return yolo_network.drawn(self.settings.architecture, names, tiny=self.settings.tiny)
