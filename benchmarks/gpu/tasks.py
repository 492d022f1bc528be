"""What the parts share: their tasks, the device, its clock and its memory."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
import transformers
from packaging.version import Version
from transformers import TrainerCallback

from vesalius.models.generative.text.families import Family

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
GIB = 2**30
FEATURES_SINCE = Version("5.18")
"""From which on models take ``mm_encoder_outputs``; families that share no row need it."""
Tasks = Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]
"""What each row is about, and the work that measures it."""


def too_old(family: Family) -> str | None:
    """What transformers lacks for a family, in words; None if it is new enough."""
    once = family.layout in {"prefix_lm", "encoder_decoder"}
    if once and Version(transformers.__version__) < FEATURES_SINCE:
        return f"needs transformers >= {FEATURES_SINCE}: models take no features before"
    return None


def release() -> None:
    """Forget what was computed before, and its peak."""
    gc.collect()
    if DEVICE == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float | None:
    """The most device memory since :func:`release`; nothing on a CPU."""
    return round(torch.cuda.max_memory_allocated() / GIB, 1) if DEVICE == "cuda" else None


def wait() -> None:
    """Until the device has done what it was told: its clock is not ours."""
    if DEVICE == "cuda":
        torch.cuda.synchronize()


class Clock(TrainerCallback):
    """Seconds of each optimizer step, the device's work included."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._at = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        wait()
        self._at = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        wait()
        self.seconds.append(time.perf_counter() - self._at)

    def median(self) -> float:
        """Of the steps after three that warm up."""
        return statistics.median(self.seconds[3:])


def training_arguments(folder: str, *, batch: int, steps: int) -> dict[str, Any]:
    """What every trainer here is told."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": batch,
        "max_steps": steps,
        "learning_rate": 1e-4,
        "bf16": True,
        "use_cpu": DEVICE == "cpu",
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
        "remove_unused_columns": False,
        "seed": 0,
    }
