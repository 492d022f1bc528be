"""How much memory training takes, and how fast it goes."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psutil

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Pace:
    """What was trained on (samples: dialogues where they are named, else rows), and how long."""

    samples: int = 0
    tokens: int = 0
    seconds: float = 0.0


def peak_memory_mb() -> float:
    """Peak resident set size of this process, in MiB (CPU memory)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / MIB


def release() -> None:
    """Let go of models that are no longer used: wrapped ones are in cycles and hold memory.

    Peaks of a CUDA device are counted anew from here.
    """
    gc.collect()
    torch = sys.modules.get("torch")  # a model that needs no torch loads none
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def device_memory() -> dict[str, float | str]:
    """Name, total, reserved and peak reserved memory of the current CUDA device, in MiB; or {}."""
    import torch

    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "device": properties.name,
        "total_mb": properties.total_memory / MIB,
        "reserved_mb": torch.cuda.memory_reserved() / MIB,
        "peak_reserved_mb": torch.cuda.max_memory_reserved() / MIB,
    }


def snapshot(*, cpu: bool) -> dict[str, float | str]:
    """Memory now: of this process, or of the CUDA device that training uses.

    ``peak_memory_mb`` is this process's peak resident set either way.
    """
    return {
        "device": "cpu",
        "total_mb": psutil.virtual_memory().total / MIB,
        "peak_memory_mb": peak_memory_mb(),
        **({} if cpu else device_memory()),
    }


def report(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What training added to the memory in use, from snapshots before and after it (MiB).

    ``memory_before_mb`` and ``memory_peak_mb`` are reserved CUDA memory where there is any, else
    the peak resident set; ``training_memory_mb`` is their difference (activations, gradients,
    optimizer, adapters' copies), ``training_memory_share`` its share of all there is.
    """
    watched = "peak_reserved_mb" if "peak_reserved_mb" in after else "peak_memory_mb"
    start = before["reserved_mb"] if watched == "peak_reserved_mb" else before[watched]
    added = max(0.0, after[watched] - start)
    rounded = {name: round(value) for name, value in after.items() if name != "device"}
    return rounded | {
        "device": after["device"],
        "memory_before_mb": round(start),
        "memory_peak_mb": round(after[watched]),
        "training_memory_mb": round(added),
        "training_memory_share": round(added / after["total_mb"], 4),
    }
