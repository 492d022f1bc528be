"""Shared rows against rows apart for every family, on the device: in fp32, and in bf16.

In fp32 the gradients are equal to rounding. In bf16 both are rounded, so each is compared with fp32
of the same weights: shared rows may be no further from it than rows apart are.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from benchmarks.gpu.tasks import DEVICE, Tasks, too_old

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "models" / "generative"))
import toys

from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.text.families import family

EXACT = 1e-4
"""Largest relative distance in fp32: sums are taken in another order."""
SLACK = 1.5
"""How much further from fp32 shared rows may be in bf16, as chance has it."""
Gradients = dict[str, torch.Tensor]


def tasks(*, small: bool) -> Tasks:  # noqa: ARG001  # toys either way
    """A row for each family, at toy size either way."""
    for name in toys.FAMILIES:
        yield {"family": name}, partial(_family, name)


def _family(name: str) -> dict[str, Any]:
    if (lack := too_old(family(name))) is not None:
        return {"skipped": lack}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    net = _network(name, 3.0)
    (loss, truth), (shared_loss, exact) = (_gradients(net, share=s) for s in (False, True))
    fp32 = distance(exact, truth)
    net = _network(name, 1.0)  # larger weights make chaos of bf16's rounding, in either way
    _, truth = _gradients(net, share=False)
    net.model.to(torch.bfloat16)
    (_, apart), (_, shared) = (_gradients(net, share=s) for s in (False, True))
    off_apart, off_shared = distance(apart, truth), distance(shared, truth)
    return {
        "fp32_gradient_distance": fp32,
        "fp32_loss_difference": abs(shared_loss - loss),
        "bf16_distance_apart": off_apart,
        "bf16_distance_shared": off_shared,
        "bf16_between": distance(shared, apart),
        "ok": fp32 <= EXACT and off_shared <= SLACK * off_apart and _sees(net, shared),
    }


def _network(name: str, scale: float) -> Network:
    net = toys.network(name, scale)
    net.model.to(DEVICE, torch.bfloat16).float()  # weights that bf16 holds as they are
    return net


def _gradients(net: Network, *, share: bool) -> tuple[float, Gradients]:
    items = Groups(toys.dialogues(), net.encoder, share=share, per_row=16, max_length=2048)
    return toys.gradients(net, [collator(net)([items[i]]) for i in range(len(items))])


def _sees(net: Network, gradients: Gradients) -> bool:
    """Whether the pictures bear on the loss."""
    vision = net.family.parts["vision"]
    return any(n.startswith(vision) and float(g.abs().max()) > 0 for n, g in gradients.items())


def distance(some: Gradients, truth: Gradients) -> float:
    """The relative distance of two gradients, over all parameters together (Frobenius)."""
    assert some.keys() == truth.keys()
    off = sum(float((some[n].double() - truth[n].double()).square().sum()) for n in truth)
    return float((off / sum(float(g.double().square().sum()) for g in truth.values())) ** 0.5)
