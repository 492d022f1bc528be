"""The detector ``detr``: RT-DETRv2, D-FINE and RF-DETR of transformers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from torch import Tensor, nn
from transformers import AutoModelForObjectDetection, RfDetrImageProcessor, RTDetrImageProcessor

from vesalius.models.capabilities import HubCard
from vesalius.models.detection import detr_network
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import BLACK, Framing
from vesalius.models.detection.learner import Detector, weighed
from vesalius.models.detection.settings import DetectorSettings
from vesalius.models.generative.weights.loading import reading
from vesalius.training.parts import count

log = logging.getLogger(__name__)
PUBLISHED = {
    **{f"PekingU/rtdetr_v2_{name}": ("rt_detr_v2", size)
       for name, size in (("r18vd", "small"), ("r34vd", "medium"), ("r50vd", "large"))},
    **{f"ustc-community/dfine-{size}-coco": ("d_fine", size)
       for size in ("nano", "small", "medium", "large")},
    **{f"Roboflow/rf-detr-{size}": ("rf_detr", size)
       for size in ("nano", "small", "medium", "large")},
}  # fmt: skip
"""Architecture and size of weights on the hub (Apache-2.0), to weigh them without fetching them."""


class DetrSettings(DetectorSettings):
    """A detection transformer by hub id or folder, or of a size from random weights."""

    weights: str | None = None
    """Hub id or local folder, e.g. ``PekingU/rtdetr_v2_r18vd``; only safetensors are read. Null:
    random weights."""
    revision: str | None = None
    """A branch, tag or commit of the hub repository."""
    architecture: Literal["rt_detr_v2", "d_fine", "rf_detr"] = "d_fine"
    """Of random weights; weights that are read have theirs."""
    size: Literal["tiny", "nano", "small", "medium", "large"] = "nano"
    """Of random weights: a published size of the architecture, or ``tiny``."""

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if self.weights is None:
            detr_network.require_size(self.architecture, self.size)
        return self


class Detr(Detector):
    """A transformer that finds each thing once, so that no overlapping boxes are sorted out.

    Sources: W. Lv et al., RT-DETRv2, 2024, https://arxiv.org/abs/2407.17140; Y. Peng et al.,
    D-FINE, ICLR 2025, https://arxiv.org/abs/2410.13842; I. Robinson et al., RF-DETR, 2025,
    https://arxiv.org/abs/2511.09554.
    """

    Settings: ClassVar[type[DetrSettings]] = DetrSettings
    card: ClassVar[HubCard] = HubCard(
        "object-detection",
        "AutoModelForObjectDetection",
        "Its scores are the network's; those of the run are calibrated (`detector.json`).",
        processor="AutoImageProcessor",
    )

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with random weights of the smallest size, of the architecture of its own."""
        left = {"weights", "revision", "image_size", "size"}
        kept = {key: value for key, value in block.items() if key not in left}
        known = PUBLISHED.get(block.get("weights") or "")
        return kept | ({"architecture": known[0]} if known else {}) | {"size": "tiny"}

    def weigh(self) -> dict[str, Any]:
        """Parameters and least memory, by the published size of weights or by that of the block."""
        weights = self.settings.weights
        own = (self.settings.architecture, self.settings.size)
        architecture, size = own if weights is None else PUBLISHED.get(weights, own)
        config = detr_network.configuration(architecture, size, ["box"])
        number = count(detr_network.outline(config))
        return weighed(number, f"the published size {size} of {architecture}")

    def new(self, classes: BoxClasses) -> tuple[nn.Module, Framing, dict[str, Any]]:
        """A network of random weights, or one whose weights know classes by name."""
        chosen = self.settings
        if chosen.weights is None:
            config = detr_network.configuration(chosen.architecture, chosen.size, classes.names)
            side = detr_network.side_of(chosen.architecture, chosen.size)
            network, facts = detr_network.drawn(config), {"weights": "random"}
            framing = detr_network.framing(chosen.architecture, side)
        else:
            network, known = detr_network.pretrained(chosen.weights, chosen.revision, classes.names)
            log.warning("%s: its weights know %s", chosen.weights, known)
            facts = {"weights": "pretrained", "weights_classes": str(known)}
            framing = detr_network.processing(chosen.weights, chosen.revision)
        side = chosen.image_size or framing.side
        detr_network.require_side(network.config, side)
        return network, replace(framing, side=side), facts

    def detect(self, network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """One row a query."""
        return detr_network.detections(network, pixels)

    def save(self, network: Any, framing: Framing, folder: Path) -> None:
        """The network and its image processor, as plain transformers reads them."""
        of_rf = network.config.model_type == "rf_detr"
        processor = (RfDetrImageProcessor if of_rf else RTDetrImageProcessor)(
            size={"height": framing.side, "width": framing.side},
            do_pad=False,
            do_normalize=framing.mean != BLACK,
            image_mean=list(framing.mean),
            image_std=list(framing.std),
        )
        network.save_pretrained(str(folder))
        processor.save_pretrained(str(folder))

    def saved(self, folder: Path, classes: BoxClasses) -> nn.Module:
        """The network in a folder."""
        with reading(folder, detr_network.WHAT):
            network: nn.Module = AutoModelForObjectDetection.from_pretrained(
                str(folder), use_safetensors=True
            )
        return network
