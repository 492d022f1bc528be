"""Detection transformers as transformers has them: drawn or read, with our classes by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModelForObjectDetection
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from vesalius.errors import ModelError, RecipeError, UnknownName
from vesalius.models.detection.framing import Framing
from vesalius.models.detection.known_classes import KnownClasses, carry_over
from vesalius.models.generative.weights.loading import Access, look, reading
from vesalius.system.tables import packaged_table

WHAT = "a detection transformer"
BY_CLASS = re.compile(r"class_embed|enc_score_head")
"""What tensors with a row a class are called, in each of the architectures."""


@cache
def sizes() -> dict[str, dict[str, dict[str, Any]]]:
    """Architecture -> size -> its configuration, as ``detr_sizes.yaml`` has it."""
    table: dict[str, dict[str, dict[str, Any]]] = packaged_table(__package__, "detr_sizes.yaml")
    return table


def require_size(architecture: str, size: str) -> None:
    """UnknownName for an architecture, or a size of it, that is not in the table."""
    if architecture not in sizes():
        raise UnknownName("detection transformer", architecture, sizes(), where="model")
    known = [name for name in sizes()[architecture] if name != "all"]
    if size not in known:
        raise UnknownName(f"size of {architecture}", size, known, where="model.size")


def labelled(classes: Sequence[str]) -> dict[str, Any]:
    """How a configuration names its classes."""
    return {
        "id2label": dict(enumerate(classes)),
        "label2id": {name: place for place, name in enumerate(classes)},
    }


def side_of(architecture: str, size: str) -> int:
    """The side in pixels that pictures are stretched to, as published."""
    row = sizes()[architecture]
    side: int = (row["all"] | row[size])["side"]
    return side


def configuration(architecture: str, size: str, classes: Sequence[str]) -> Any:
    """The configuration of an architecture in one of its sizes, for these classes."""
    require_size(architecture, size)
    row = sizes()[architecture]
    content = {key: value for key, value in (row["all"] | row[size]).items() if key != "side"}
    if backbone := content.get("backbone_config"):
        content["backbone_config"] = AutoConfig.for_model(**backbone)
    return CONFIG_MAPPING[architecture](**content, **labelled(classes))


def drawn(config: Any) -> Any:
    """A network with random weights from torch's generator, which the caller seeds."""
    return AutoModelForObjectDetection.from_config(config, dtype=torch.float32)


def outline(config: Any) -> Any:
    """The same on torch's meta device: shapes without numbers."""
    with torch.device("meta"):
        return drawn(config)


def pretrained(
    weights: str, revision: str | None, classes: Sequence[str]
) -> tuple[Any, KnownClasses]:
    """The network at a hub id or folder with our classes in the place of its own.

    What it learnt of a class is carried over by the class's name, never by its number; a class it
    does not know starts from random weights. Only safetensors are read. ModelError for what is no
    detection transformer of the table, or not whole.
    """
    access = Access(revision)
    config = look(weights, access, WHAT)
    if config.model_type not in sizes():
        what = f"is {config.model_type}, none of {', '.join(sizes())}"
        raise ModelError(what, where=weights)
    with reading(weights, WHAT):
        old, info = AutoModelForObjectDetection.from_pretrained(
            weights, dtype=torch.float32, output_loading_info=True, **access.weights
        )
    if missing := sorted(info["missing_keys"]):
        what = f"lacks {len(missing)} of its weights, {missing[0]} among them"
        raise ModelError(what, where=weights, hint="fetch or copy them again")
    names = tuple(old.config.id2label[place] for place in sorted(old.config.id2label))
    if names == tuple(classes):
        return old, KnownClasses(names, names)
    new = drawn(type(old.config).from_dict(old.config.to_dict() | labelled(classes)))
    by_class = {key for key in new.state_dict() if BY_CLASS.search(key)}
    return new, carry_over(new, old.state_dict(), by_class, names, classes)


def framing(architecture: str, side: int) -> Framing:
    """How an architecture wants its pictures: a square; RF-DETR normalised as ImageNet."""
    if architecture != "rf_detr":
        return Framing(side, stretched=True)
    mean, std = tuple(IMAGENET_DEFAULT_MEAN), tuple(IMAGENET_DEFAULT_STD)
    return Framing(side, stretched=True, mean=mean, std=std)


def processing(weights: str, revision: str | None) -> Framing:
    """How weights want their pictures; ModelError if not stretched to a square."""
    with reading(weights, "an image processor"):
        processor = AutoImageProcessor.from_pretrained(weights, revision=revision)
    size = dict(processor.size)
    if size.get("height") is None or size.get("height") != size.get("width"):
        what = f"wants pictures of {size}, not of a height and width that are equal"
        raise ModelError(what, where=weights)
    whole = Framing(int(size["height"]), stretched=True)
    if not processor.do_normalize:
        return whole
    mean, std = tuple(processor.image_mean), tuple(processor.image_std)
    return Framing(whole.side, stretched=True, mean=mean, std=std)


def require_side(config: Any, side: int) -> None:
    """RecipeError unless its grid divides a side of so many pixels, and has room for queries."""
    backbone = config.backbone_config
    windows = getattr(backbone, "num_windows", None)
    step = max(config.feat_strides) if windows is None else windows * backbone.patch_size
    if side % step:
        hint = f"for example {max(1, round(side / step)) * step}"
        raise RecipeError(f"{side} is no multiple of {step}", where="model.image_size", hint=hint)
    strides = config.feat_strides if windows is None else [backbone.patch_size]
    places = sum((side // stride) ** 2 for stride in strides)
    if places < config.num_queries:
        what = f"{side} pixels have {places} places for {config.num_queries} queries"
        raise RecipeError(what, where="model.image_size", hint="a larger side")


def loss(network: Any, pixels: Tensor, targets: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The loss of pictures (B, 3, S, S) whose targets are classes (n,) and boxes (n, 4).

    Boxes are centre, width and height in shares of the input. Of pictures without a box it is
    finite: every query learns to see nothing.
    """
    labels = [
        {"class_labels": classes.to(pixels.device), "boxes": boxes.to(pixels.device)}
        for classes, boxes in targets
    ]
    total: Tensor = network(pixel_values=pixels, labels=labels).loss
    return total


def detections(network: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Corners (B, Q, 4) in pixels of the input, and probabilities (B, Q, C), one row a query."""
    output = network(pixel_values=pixels)
    centre, size = output.pred_boxes.split(2, dim=2)
    shares = torch.cat((centre - size / 2, centre + size / 2), dim=2)
    height, width = pixels.shape[2:]
    scale = shares.new_tensor((width, height, width, height))
    return shares * scale, output.logits.sigmoid()
