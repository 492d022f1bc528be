"""Frozen networks that see: what prepares a picture for each, and what is read off it.

A transformers vision model (its own pooled output, or a hidden layer), an open_clip folder (its
image tower alone, so that a text tower needs no download), or the model of a run that embeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel

from vesalius.errors import MissingExtra, ModelError
from vesalius.retrieval import EncoderBlock

OPEN_CLIP = "open_clip_config.json"
TOWER = "visual."
"""What the names of an open_clip checkpoint's image tower begin with."""


@dataclass(frozen=True)
class ImageNetwork:
    """A network with its way in and out: ``prepare`` a picture, ``pool`` a batch to (B, d).

    ``facts`` are what decides its output beside the weights; ``settings`` say how pictures are
    prepared, in the words of the library that does it.
    """

    name: str
    network: nn.Module
    prepare: Callable[[Image.Image], Tensor]
    pool: Callable[[Tensor], Tensor]
    facts: tuple[Any, ...] = ()
    settings: tuple[Any, ...] = ()


def image_network(block: EncoderBlock) -> ImageNetwork:
    """The network that a block's weights name; ModelError if there is none or no such layer."""
    if open_clip_config(block.weights) is not None:
        return _open_clip(block)
    network = pretrained(block.weights)
    _require_layer(block, network.config)
    processor = AutoImageProcessor.from_pretrained(block.weights)

    def prepare(image: Image.Image) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    def pool(pixels: Tensor) -> Tensor:
        return _pooled(network, pixels) if block.layer is None else _layer(network, pixels, block)

    facts = () if block.layer is None else (block.layer, block.pool)
    settings = (processor.to_json_string(),)
    return ImageNetwork(str(block), network, prepare, pool, facts, settings)


def require_network(block: EncoderBlock) -> None:
    """Raise what :func:`image_network` would, without the time and memory of loading weights.

    A hub name costs the download of its configuration; a missing weight file shows only later.
    """
    clip = open_clip_config(block.weights)
    if clip is not None:
        _require_pooled(block)
        _library()
        _weights_file(block.weights)
        return
    try:
        config = AutoConfig.from_pretrained(block.weights)
    except (OSError, ValueError) as error:
        raise no_such(block.weights, error) from error
    _require_layer(block, config)


def pretrained(name: str) -> Any:
    """A transformers network, frozen, from safetensors alone: pickled weights can run code."""
    try:
        network = AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise no_such(name, error) from error
    return network.eval().requires_grad_(requires_grad=False)


def no_such(name: str, error: Exception) -> ModelError:
    """The error for a name that leads to no encoder."""
    reason = str(error).split("\n", maxsplit=1)[0]
    here = "a folder with config.json and model.safetensors, or a hub name"
    return ModelError(f"no such encoder: {reason}", where=name, hint=here)


def open_clip_config(folder: str) -> Mapping[str, Any] | None:
    """What an open_clip folder says of its model; None for anything else."""
    path = Path(folder) / OPEN_CLIP
    if not path.is_file():
        return None
    try:
        config = dict(json.loads(path.read_text(encoding="utf-8")))
        return {"model_cfg": dict(config.pop("model_cfg")), "preprocess_cfg": {}} | config
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not an open_clip configuration: {error}", where=path) from error


def _open_clip(block: EncoderBlock) -> ImageNetwork:
    _require_pooled(block)
    _library()
    processing = import_module("open_clip.transform")
    config = open_clip_config(block.weights) or {}
    weights = _weights_file(block.weights)
    model = config["model_cfg"]
    try:
        tower: nn.Module = import_module("open_clip.model")._build_vision_tower(
            model["embed_dim"], model["vision_cfg"], model.get("quick_gelu", False)
        )
        state = load_file(weights)
        own = {name.removeprefix(TOWER): v for name, v in state.items() if name.startswith(TOWER)}
        tower.load_state_dict(own)
    except (KeyError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
        raise no_such(block.weights, error) from error
    size = model["vision_cfg"].get("image_size", 224)
    cfg = {"size": size} | config["preprocess_cfg"]
    try:
        transform = processing.image_transform_v2(processing.PreprocessCfg(**cfg), is_train=False)
    except TypeError as error:
        raise no_such(block.weights, error) from error
    network = tower.float().eval().requires_grad_(requires_grad=False)
    return ImageNetwork(
        block.weights, network, transform, network, ("open_clip",), (json.dumps(cfg),)
    )


def _library() -> None:
    """MissingExtra unless open_clip is installed; timm, which builds most towers, comes with it."""
    try:
        import_module("open_clip")
    except ImportError as error:
        raise MissingExtra("open_clip_torch", "clip") from error


def _weights_file(folder: str) -> Path:
    files = sorted(Path(folder).glob("*.safetensors"))
    if len(files) != 1:
        what = f"holds {len(files)} files of safetensors, an open_clip folder has one"
        hint = "pickled weights (.bin, .pt) can run code and are not read; convert them"
        raise ModelError(what, where=folder, hint=hint)
    return files[0]


def _require_pooled(block: EncoderBlock) -> None:
    if block.layer is not None:
        what = "an open_clip model gives its own image vector, no hidden layer"
        raise ModelError(what, where=block.weights, hint="leave out layer")


def _require_layer(block: EncoderBlock, config: Any) -> None:
    if block.layer is None:
        return
    vision = getattr(config, "vision_config", config)
    count = getattr(vision, "num_hidden_layers", None)
    if count is None and hasattr(vision, "depths"):
        count = len(vision.depths)
    if count is not None and not -count - 1 <= block.layer <= count:
        what = f"there is no hidden layer {block.layer}: 0 to {count}"
        raise ModelError(what, where=block.weights)


def _layer(network: Any, pixels: Tensor, block: EncoderBlock) -> Tensor:
    """A hidden layer (B, tokens, d) or (B, d, rows, columns) as one vector a picture."""
    vision = getattr(network, "vision_model", network)
    output = vision(pixel_values=pixels, output_hidden_states=True)
    states: Tensor = output.hidden_states[block.layer]
    if states.dim() == 4:
        return states.mean((2, 3))
    return states[:, 0] if block.pool == "cls" else states.mean(1)


def _pooled(network: Any, pixels: Tensor) -> Tensor:
    two_towered = hasattr(network, "get_image_features")  # CLIP, SigLIP: text is the other tower
    output = network.get_image_features(pixels) if two_towered else network(pixel_values=pixels)
    if isinstance(output, Tensor):
        return output
    pooled = getattr(output, "pooler_output", None)
    states: Tensor = output.last_hidden_state if pooled is None else pooled
    if states.dim() == 4:  # convolutional: (B, channels, rows, columns)
        return states.mean((2, 3))
    return states.mean(1) if states.dim() == 3 else states
