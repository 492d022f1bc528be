"""How much memory a process has used at most."""

from __future__ import annotations

import resource
import sys


def peak_memory_mb() -> float:
    """Peak resident set size of this process, in MiB (CPU memory)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform != "darwin" else peak / 1024**2


def device_memory() -> dict[str, float | str]:
    """Name, total and peak reserved memory of the current CUDA device, in MiB; {} without one."""
    import torch

    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "total_mb": properties.total_memory / 1024**2,
        "peak_reserved_mb": torch.cuda.max_memory_reserved() / 1024**2,
    }
