"""Rows to tensors: masks, positions and labels that make a shared image exact.

A segment sees the prefix and itself; its positions start where the prefix ends; loss is borne by
reply tokens only, and the language-model head runs at those places alone. Loss and gradients equal
those of one row per dialogue (dropout aside).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vesalius.models.generative.rows import IGNORED, Row


def collate(rows: Sequence[Row], *, pad: int) -> dict[str, Any]:
    """A batch from rows, right-padded to the longest (T).

    ``input_ids``, ``position_ids`` (B, T); ``attention_mask`` bool (B, 1, T, T), True = attend;
    ``logits_to_keep`` bool (B, T), the places that predict a label; ``shift_labels`` (those,);
    ``labels`` (B, T); and the rows' image tensors, concatenated.
    """
    length = max(row.length for row in rows)
    shape = (len(rows), length)
    ids = torch.full(shape, pad)
    labels = torch.full(shape, IGNORED)
    positions = torch.zeros(shape, dtype=torch.long)
    # Pad places attend to themselves, so that no softmax is over nothing.
    mask = torch.eye(length, dtype=torch.bool).repeat(len(rows), 1, 1)
    for index, row in enumerate(rows):
        _fill(row, ids[index], labels[index], positions[index], mask[index])
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORED)
    keep = following != IGNORED
    return {
        "input_ids": ids,
        "position_ids": positions,
        "attention_mask": mask[:, None],
        "labels": labels,
        "logits_to_keep": keep,
        "shift_labels": following[keep],
        **images_of(rows),
    }


def images_of(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """The rows' image tensors, concatenated along their first axis."""
    names = rows[0].prefix.images
    return {name: torch.cat([row.prefix.images[name] for row in rows]) for name in names}


def _fill(
    row: Row,
    ids: torch.Tensor,
    labels: torch.Tensor,
    positions: torch.Tensor,
    mask: torch.Tensor,
) -> None:
    start = len(row.prefix.ids)
    ids[:start] = torch.tensor(row.prefix.ids, dtype=torch.long)
    positions[:start] = torch.arange(start)
    mask[:start, :start] = torch.ones(start, start, dtype=torch.bool).tril()
    at = start
    for segment in row.segments:
        size = len(segment.ids)
        own = slice(at, at + size)
        ids[own] = torch.tensor(segment.ids)
        labels[own] = torch.tensor(segment.labels)
        positions[own] = torch.arange(start, start + size)
        mask[own, :start] = True
        mask[own, own] = torch.ones(size, size, dtype=torch.bool).tril()
        at += size
