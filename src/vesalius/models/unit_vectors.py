"""What encoders of pictures and of sentences share: where they compute, and what names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from vesalius.models.feature_cache import Vectors
from vesalius.run import environment

PACKAGES = ("vesalius", "torch", "transformers", "pillow")
"""What decodes, prepares and computes: of another version of these no vector is taken."""


def device() -> torch.device:
    """Where frozen encoders compute: the first CUDA device, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def array(vectors: Tensor) -> Vectors:
    """The same numbers as an array."""
    return cast("Vectors", vectors.cpu().numpy())


def stack(vectors: Sequence[Vectors]) -> Vectors:
    """Vectors (d,) as rows (n, d), float32; (0, 0) for none."""
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def weights_identity(network: nn.Module, facts: Sequence[Any]) -> str:
    """A hash of a network's kind, its weights, and how they are read."""
    digest = hashlib.sha256(json.dumps([type(network).__name__, *facts]).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def weights_digest(network: nn.Module, facts: Sequence[Any]) -> str:
    """A hash of a network's weights, kind of device and settings, of ``facts``, and of versions.

    Devices and versions round differently, and prepare differently: vectors of two are not mixed.
    """
    config = getattr(network, "config", None)
    settings = None if config is None else config.to_json_string()
    installed = environment()["packages"]
    versions = [installed.get(name) for name in PACKAGES]
    text = json.dumps([weights_identity(network, facts), settings, device().type, versions])
    return hashlib.sha256(text.encode()).hexdigest()
