"""The settings that all detectors share, as a recipe's ``model:`` block has them."""

from __future__ import annotations

from pydantic import Field

from vesalius.models.detection.operating import Aim
from vesalius.settings import Frozen
from vesalius.training.device import Device
from vesalius.training.settings import Precision, Training


class Augmentation(Frozen):
    """How training pictures are changed, their boxes with them. Everything off: the picture."""

    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """How often a picture is mirrored; "left" and "right" in the names of classes change places,
    and one whose other side is no class keeps its picture as it is. 0 where sides matter more."""
    scale: float = Field(default=0.3, ge=0.0, lt=1.0)
    """Enlarged or made smaller by up to this share; what leaves the input is cut off."""
    brightness: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Made brighter or darker by up to this share."""


class DetectorTraining(Training):
    """How weights are trained."""

    epochs: float = Field(default=20.0, gt=0)
    """Passes over the training split."""
    batch: int = Field(default=8, ge=1)
    """Pictures in a forward pass."""
    clip: float = Field(default=0.1, gt=0)
    """The largest gradient norm."""


class DetectorSettings(Frozen):
    """What all detectors have settings for."""

    image_size: int | None = Field(default=None, ge=32)
    """The side in pixels that pictures are brought to; null: as the weights were trained."""
    augmentation: Augmentation = Augmentation()
    point: Aim = Aim()
    """How the score from which a box is shown is chosen: on validation alone."""
    training: DetectorTraining = DetectorTraining()
    precision: Precision = "fp32"
    """What training computes in."""
    device: Device = "auto"
    """``cuda`` is refused where there is none; ``auto`` takes what there is."""
