"""What a fit will do and cost: its rows, one real step in time and memory, its loss mask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import torch

from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.rows.rows import IGNORED, Row
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


def plan(items: Groups, training: Training, *, sample: int = 32) -> dict[str, Any]:
    """What a fit will do, measured on a sample of its rows: tokens, labels, steps."""
    step = max(1, len(items) // sample)
    rows = [row for i in range(0, len(items), step) for row in items[i]]
    lengths = sorted(row.length for row in rows)
    per_step = training.batch * training.accumulate
    labels = sum(t != IGNORED for row in rows for t in row.labels)
    apart = {"unshared_dialogues": items.unshared} if items.unshared else {}
    return {
        **apart,
        "rows": len(items),
        "dialogues_per_row": round(sum(len(r.segments) for r in rows) / len(rows), 2),
        "tokens_per_row": round(sum(lengths) / len(rows), 1),
        "longest_row": lengths[-1],
        "image_tokens": rows[0].prefix.image_tokens,
        "labels_per_row": round(labels / len(rows), 1),
        "steps": training.steps(len(items)),
        "tokens_per_step": round(per_step * sum(lengths) / len(rows)),
    }


def masked_tokens(row: Row, encoder: Encoder) -> Iterator[tuple[str, bool]]:
    """(token text, bears loss) along a row, image tokens folded into one, for ``--show-mask``."""
    tokenizer = encoder.tokenizer
    folded = 0
    for token, label in zip(row.prefix.ids, row.prefix.labels, strict=True):
        if token == encoder.image_id:
            folded += 1
            continue
        if folded:
            yield f"[{folded} image tokens]", False
            folded = 0
        yield tokenizer.decode([token]), label != IGNORED
    if folded:
        yield f"[{folded} image tokens]", False
    for segment in row.segments:
        yield "\n", False
        for token, label in zip(segment.ids, segment.labels, strict=True):
            yield tokenizer.decode([token]), label != IGNORED
