"""Losses of many labels that may each be there: cross-entropy, and one for rare labels."""

from __future__ import annotations

from torch import Tensor, nn


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean over images of the sum over labels, in nats; logits and targets (B, L)."""
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / len(
        logits
    )


def asymmetric(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    clip: float = 0.05,
) -> Tensor:
    """The same with easy negatives weighed down: (1 - p)^g+ log p and q^g- log(1 - q).

    p is a label's probability, q = max(p - clip, 0): a negative below ``clip`` costs nothing. The
    weights bear no gradient. Source: T. Ridnik et al., Asymmetric loss for multi-label
    classification, ICCV 2021, https://arxiv.org/abs/2009.14119.
    """
    present = logits.sigmoid()
    shifted = (present - clip).clamp(min=0.0)
    positive = targets * nn.functional.logsigmoid(logits)
    negative = (1 - targets) * (1 - shifted).clamp(min=1e-8).log()
    weight = targets * (1 - present) ** gamma_positive + (1 - targets) * shifted**gamma_negative
    return -((positive + negative) * weight.detach()).sum() / len(logits)
