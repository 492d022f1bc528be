"""The settings of a tagger, as a recipe's ``model:`` block has them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vesalius.models.linear_head import Schedule
from vesalius.models.tagging.space import MOST
from vesalius.settings import Frozen
from vesalius.training.device import Device
from vesalius.training.settings import Precision, Training


class TaggerTraining(Training):
    """How the encoder is trained, where it is."""

    epochs: float = Field(default=5.0, gt=0)
    """Passes over the training split."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """The highest rate, reached after the warm-up."""
    batch: int = Field(default=16, ge=1)
    """Images in a forward pass."""


class TaggerSettings(Frozen):
    """An image encoder and a linear head over the concepts of the training split."""

    encoder: str = "efficientnet_lite0"
    """The image encoder (``vesalius.models.encoders.image_encoder``)."""
    fine_tune: bool = False
    """Train the encoder, too, from the head that was fitted on its frozen vectors."""
    loss: Literal["bce", "asymmetric"] = "bce"
    """Binary cross-entropy, or the asymmetric loss for labels of which most are absent."""
    gamma_negative: float = Field(default=4.0, ge=0.0)
    """Of the asymmetric loss: how much easy negatives are weighed down."""
    gamma_positive: float = Field(default=0.0, ge=0.0)
    """The same for easy positives: 0 or 1."""
    clip: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Of the asymmetric loss: a negative of lower probability costs nothing."""
    least: int = Field(default=1, ge=1)
    """Concepts of fewer training images are not learned."""
    most: int = Field(default=MOST, ge=1, le=MOST)
    """At most so many concepts an image."""
    floor: float = Field(default=0.5, ge=0.0, le=1.0)
    """Least threshold of a concept that no validation image has."""
    count_level: float | None = Field(default=0.9, gt=0.0, lt=1.0)
    """Coverage of the interval for the number of concepts, which adds or prunes; null: none."""
    dropout: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Share of image features hidden from each step of the head."""
    head_rate: float = Field(default=3e-3, gt=0.0)
    """AdamW's rate for the head on frozen vectors."""
    head_decay: float = Field(default=1e-2, ge=0.0)
    head_batch: int = Field(default=128, ge=1)
    head_epochs: int = Field(default=60, ge=1)
    patience: int = Field(default=10, ge=1)
    """Epochs of the head without a better validation F1 after which it is left."""
    training: TaggerTraining = TaggerTraining()
    """Of the encoder, with ``fine_tune``."""
    precision: Precision = "fp32"
    """What the encoder's training computes in."""
    device: Device = "auto"
    """``cuda`` is refused where there is none; ``auto`` takes what there is."""

    def schedule(self) -> Schedule:
        """How the head is trained on frozen vectors."""
        return Schedule(
            self.head_rate, self.head_decay, self.head_batch, self.head_epochs, self.patience
        )
