"""Rows to tensors: the masks, positions and labels that make a shared image exact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad as padded

from vesalius.models.generative.rows.rows import IGNORED, Row


def collate(rows: Sequence[Row], *, pad: int) -> dict[str, Any]:
    """The tokens of a batch of rows, right-padded to the longest (T).

    ``input_ids``, ``position_ids``, ``labels``, ``inside`` (not a pad) (B, T); ``attention_mask``
    bool (B, 1, T, T), True = attend; ``logits_to_keep`` bool (B, T), the places that predict a
    label; ``shift_labels`` (those,); ``prefix_lengths`` (B,).
    """
    length = max(row.length for row in rows)
    shape = (len(rows), length)
    ids = torch.full(shape, pad)
    labels = torch.full(shape, IGNORED)
    positions = torch.zeros(shape, dtype=torch.long)
    # Whose a place is: 0 the prefix's, n the n-th segment's. Each pad is its own, and so attends to
    # itself: no softmax is over nothing.
    owner = -torch.arange(1, length + 1).repeat(len(rows), 1)
    for index, row in enumerate(rows):
        _fill(row, ids[index], labels[index], positions[index], owner[index])
    following = padded(labels[:, 1:], (0, 1), value=IGNORED)
    keep = following != IGNORED
    return {
        "input_ids": ids,
        "position_ids": positions,
        "attention_mask": _mask(owner)[:, None],
        "labels": labels,
        "logits_to_keep": keep,
        "shift_labels": following[keep],
        "prefix_lengths": torch.tensor([len(row.prefix.ids) for row in rows]),
        "inside": owner >= 0,
    }


def images_of(rows: Sequence[Row]) -> dict[str, torch.Tensor]:
    """The rows' image tensors, concatenated along their first axis.

    Where the others differ (a picture cut into more tiles than another) zeros fill up, which every
    family takes for tiles that are not there.
    """
    names = rows[0].prefix.images
    return {name: _concatenated([row.prefix.images[name] for row in rows]) for name in names}


def _concatenated(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    largest = [max(sizes) for sizes in zip(*(t.shape[1:] for t in tensors), strict=True)]
    filled = []
    for tensor in tensors:
        missing = [large - own for large, own in zip(largest, tensor.shape[1:], strict=True)]
        ends = [side for gap in reversed(missing) for side in (0, gap)]
        filled.append(padded(tensor, ends) if any(missing) else tensor)
    return torch.cat(filled)


def _mask(owner: torch.Tensor) -> torch.Tensor:
    """Who attends to whom (B, T, T): to what stands before of the same owner, or of the prefix.

    Made for a batch at once: an operation for each segment takes many times as long.
    """
    same = owner[:, :, None] == owner[:, None, :]
    prefix = (owner == 0)[:, None, :] & (owner >= 0)[:, :, None]
    places = torch.arange(owner.shape[1])
    return (same | prefix) & (places[None, :] <= places[:, None])


def _fill(
    row: Row,
    ids: torch.Tensor,
    labels: torch.Tensor,
    positions: torch.Tensor,
    owner: torch.Tensor,
) -> None:
    start = len(row.prefix.ids)
    ids[:start] = torch.tensor(row.prefix.ids, dtype=torch.long)
    labels[:start] = torch.tensor(row.prefix.labels, dtype=torch.long)
    positions[:start] = torch.arange(start)
    owner[:start] = 0
    at = start
    for number, segment in enumerate(row.segments, start=1):
        size = len(segment.ids)
        own = slice(at, at + size)
        ids[own] = torch.tensor(segment.ids)
        labels[own] = torch.tensor(segment.labels)
        positions[own] = torch.arange(start, start + size)
        owner[own] = number
        at += size
