"""Where a network is: on the CPU, or on this process's CUDA device."""

from __future__ import annotations

import os
from typing import Literal

import torch

from vesalius.errors import ModelError
from vesalius.training.processes import cpu_only

Device = Literal["auto", "cpu", "cuda"]


def resolve_device(device: Device) -> torch.device:
    """The device that is asked for; ``auto``: CUDA where there is any. ModelError if it is absent.

    ``cpu`` holds for all that this process does from now on, the Trainer's own choice included.
    """
    if device == "cuda" and not torch.cuda.is_available():
        hint = "device: auto takes what there is; nvidia-smi shows what the driver sees"
        raise ModelError("CUDA is asked for, but no CUDA device is there", where="model.device",
                         hint=hint)  # fmt: skip
    if device == "cpu" and torch.cuda.is_available():
        os.environ["ACCELERATE_USE_CPU"] = "true"
    if cpu_only():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
