"""Losses of many labels, against their formula."""

from __future__ import annotations

import math

import pytest
import torch

from vesalius.models.tagging.losses import asymmetric, binary_cross_entropy


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_without_focusing_the_asymmetric_loss_is_cross_entropy() -> None:
    logits, targets = torch.randn(4, 7), (torch.rand(4, 7) > 0.5).float()
    plain = asymmetric(logits, targets, gamma_negative=0.0, gamma_positive=0.0, clip=0.0)
    assert plain.item() == pytest.approx(binary_cross_entropy(logits, targets).item(), rel=1e-5)


def test_the_formula() -> None:
    logits = torch.tensor([[logit(0.8), logit(0.25)]])
    targets = torch.tensor([[1.0, 0.0]])
    # -(1 - .8)^1 log .8 - (.25 - .05)^4 log(1 - .2)
    wanted = -0.2 * math.log(0.8) - 0.2**4 * math.log(0.8)
    loss = asymmetric(logits, targets, gamma_negative=4.0, gamma_positive=1.0, clip=0.05)
    assert loss.item() == pytest.approx(wanted, rel=1e-4)


def test_an_easy_negative_costs_nothing() -> None:
    logits = torch.tensor([[logit(0.04)]], requires_grad=True)
    asymmetric(logits, torch.zeros(1, 1)).backward()
    assert logits.grad is not None
    assert logits.grad.item() == 0.0
