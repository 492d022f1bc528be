"""What NanoDet learns by: places are assigned to boxes, scores and sides to what they cover.

Sources: S. Zhang et al., Bridging the gap between anchor-based and anchor-free detection (ATSS),
CVPR 2020, https://arxiv.org/abs/1912.02424; X. Li et al., Generalized focal loss, NeurIPS 2020,
https://arxiv.org/abs/2006.04388; H. Rezatofighi et al., GIoU, CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import box_iou, generalized_box_iou_loss

STRIDES = (8, 16, 32)
"""Pixels between the places of each grid."""
BINS = 11
"""A side's distance is one of 0 to 10 strides, or between two of them."""
ANCHOR = 5
"""The side, in strides, of the square by which a place is compared with boxes."""
NEAREST = 9
"""Places of each grid that are candidates for a box."""
BOX_WEIGHT, SIDE_WEIGHT = 2.0, 0.25

Target = tuple[Tensor, Tensor]
"""Classes (n,), and corners (n, 4) in pixels of the input."""


def centres(side: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Of an input of side S: the places' middles (N, 2) as x, y, and their strides (N,)."""
    points, strides = [], []
    for stride in STRIDES:
        line = (torch.arange(side // stride, device=device) + 0.5) * stride
        y, x = torch.meshgrid(line, line, indexing="ij")
        points.append(torch.stack((x, y), dim=-1).reshape(-1, 2))
        strides.append(torch.full((len(points[-1]),), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def decoded(sides: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Corners (..., N, 4) in pixels: each side at the mean of its distances, in strides."""
    distances = sides.softmax(-1) @ torch.arange(BINS, device=sides.device, dtype=sides.dtype)
    distances = distances * strides[:, None]
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), dim=-1)


def assigned(points: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """For each place (N,) the number of the box it learns, or -1.

    Of each grid the nearest places are candidates; those stay whose square overlaps the box by more
    than the candidates' mean and standard deviation together, and whose middle is in the box. A
    place of two boxes learns the one that it overlaps more.
    """
    if not len(boxes):
        return torch.full((len(points),), -1, dtype=torch.long, device=points.device)
    half = strides[:, None] * ANCHOR / 2
    overlap = box_iou(torch.cat((points - half, points + half), dim=1), boxes)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance = torch.cdist(points, middle)
    candidate = torch.zeros_like(overlap, dtype=torch.bool)
    for stride in STRIDES:
        rows = (strides == stride).nonzero()[:, 0]
        near = distance[rows].topk(min(NEAREST, len(rows)), dim=0, largest=False).indices
        candidate.scatter_(0, rows[near], True)
    among = torch.where(candidate, overlap, torch.nan)
    mean = among.nanmean(0)
    spread = ((among - mean) ** 2).nansum(0) / (candidate.sum(0) - 1).clamp(min=1)
    inside = ((points[:, None] > boxes[None, :, :2]) & (points[:, None] < boxes[None, :, 2:])).all(
        -1
    )
    mine = candidate & inside & (overlap >= mean + spread.sqrt())
    best, number = torch.where(mine, overlap, -1.0).max(1)
    return torch.where(best >= 0, number, -1)


def quality_focal_loss(logits: Tensor, quality: Tensor) -> Tensor:
    """The sum over places and classes; ``quality`` is the overlap that a score is to tell."""
    away = (logits.sigmoid() - quality).abs() ** 2
    losses = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return (away * losses).sum()


def distribution_focal_loss(sides: Tensor, distances: Tensor) -> Tensor:
    """Of distances (n, 4) in strides, by the two bins beside each: (n,), a mean of four sides."""
    wanted = distances.clamp(0, BINS - 1 - 1e-2)
    below = wanted.long()
    share = wanted - below
    logits = sides.transpose(1, 2)
    lower = functional.cross_entropy(logits, below, reduction="none") * (1 - share)
    upper = functional.cross_entropy(logits, below + 1, reduction="none") * share
    return (lower + upper).mean(1)


def gfl_loss(logits: Tensor, sides: Tensor, targets: Sequence[Target], side: int) -> Tensor:
    """Of logits (B, N, C) and sides (B, N, 4, BINS) in inputs of one side.

    Class losses are a mean over assigned places, those of boxes one weighted by the places' scores;
    of pictures without a box it is finite, and every place learns to see nothing.
    """
    points, strides = centres(side, logits.device)
    learns = torch.stack([assigned(points, strides, boxes) for _, boxes in targets])
    rows, places = (learns >= 0).nonzero(as_tuple=True)
    quality = torch.zeros_like(logits)
    if not len(rows):
        return quality_focal_loss(logits, quality) + 0.0 * sides.sum()
    numbers = learns[rows, places]
    pairs = list(zip(rows.tolist(), numbers.tolist(), strict=True))
    classes = torch.stack([targets[row][0][number] for row, number in pairs])
    boxes = torch.stack([targets[row][1][number] for row, number in pairs])
    own, points, strides = sides[rows, places], points[places], strides[places]
    # A row each: (n, 4) corners of the n assigned places.
    corners = decoded(own, points, strides)
    with torch.no_grad():
        lapped = box_iou(corners, boxes).diagonal()
        quality[rows, places, classes] = lapped
        weight = logits[rows, places].sigmoid().amax(1)
    wanted = torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1) / strides[:, None]
    by_box = BOX_WEIGHT * generalized_box_iou_loss(corners, boxes)
    by_side = SIDE_WEIGHT * distribution_focal_loss(own, wanted)
    box_loss = ((by_box + by_side) * weight).sum() / weight.sum().clamp(min=1e-6)
    loss: Tensor = quality_focal_loss(logits, quality) / len(rows) + box_loss
    return loss
