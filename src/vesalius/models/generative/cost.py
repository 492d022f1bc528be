"""What a fit will cost: its counts, and the time and memory of one real step."""

from __future__ import annotations

import time
from typing import Any

import torch

from vesalius.models.generative.fitting import Groups, collator, plan
from vesalius.models.generative.network import Network
from vesalius.training.memory import MIB, peak_memory_mb, release
from vesalius.training.parts import census, count
from vesalius.training.settings import Training


def cost(network: Network, items: Groups, training: Training, dtype: torch.dtype) -> dict[str, Any]:
    """The plan of a fit; minutes and MiB are estimates from one step."""
    facts = plan(items, training)
    release()
    seconds, memory = _one_step(network, items, training, dtype)
    parts = census(network.model, network.family.parts)
    trainable = sum(part["trainable"] for part in parts.values())
    facts["steps"] = facts["steps"] if trainable else 0
    return {
        "parameters": count(network.model),
        "trainable": trainable,
        "parts": parts,
        "dtype": str(dtype).removeprefix("torch."),
        **facts,
        "estimated_minutes": round(facts["steps"] * seconds / 60, 1),
        # AdamW keeps two fp32 moments per trainable weight.
        "estimated_memory_mb": round(memory + trainable * 8 / 2**20),
    }


def _one_step(
    network: Network, items: Groups, training: Training, dtype: torch.dtype
) -> tuple[float, float]:
    """Seconds of a real optimizer step's forward and backward, and peak memory after it (MiB)."""
    batch = collator(network)([items[i % len(items)] for i in range(training.batch)])
    device = network.model.device
    batch = {k: v.to(device) for k, v in batch.items() if isinstance(v, torch.Tensor)}
    seconds = 0.0
    network.model.train()
    for _ in range(2):  # the first one warms up
        _wait(device)
        started = time.perf_counter()
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            loss = network.model(**batch).loss
        if loss.requires_grad:
            loss.backward()
        _wait(device)
        seconds = time.perf_counter() - started
    network.model.zero_grad()
    used = torch.cuda.max_memory_allocated() / MIB if device.type == "cuda" else peak_memory_mb()
    return seconds * training.accumulate, used


def _wait(device: torch.device) -> None:
    """Until a GPU has done what it was told: its clock is not ours."""
    if device.type == "cuda":
        torch.cuda.synchronize()
