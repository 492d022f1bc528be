"""fp16 with a loss scaler: a gradient that overflows skips its step, halves the scale, and all goes on."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import torch
from benchmarks.gpu.shapes import learner, talk
from benchmarks.gpu.tasks import DEVICE, Tasks, training_arguments
from transformers import TrainerCallback, TrainingArguments

from vesalius.models.generative import fitting
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.training.trainer import WatchedTrainer

STEPS, OVERFLOW = 12, 4


class Watch(TrainerCallback):
    """Makes one step's gradient overflow; keeps the scale and the trained weights of each step."""

    def __init__(self) -> None:
        self.scales: list[float] = []
        self.weights: list[torch.Tensor] = []
        self.trainer: Any = None

    def attach(self, parameter: torch.nn.Parameter) -> None:
        self._parameter = parameter
        parameter.register_hook(self._overflowing)

    def _overflowing(self, gradient: torch.Tensor) -> torch.Tensor:
        return torch.full_like(gradient, torch.inf) if len(self.scales) == OVERFLOW else gradient

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.scales.append(float(self.trainer.accelerator.scaler.get_scale()))
        self.weights.append(self._parameter.detach().clone())


def tasks(*, small: bool) -> Tasks:  # noqa: ARG001  # toys either way
    """One row; the network is a toy either way."""
    if DEVICE == "cpu":
        yield {}, lambda: {"skipped": "loss scaling needs a CUDA device"}
        return
    yield {"steps": STEPS, "overflow_at": OVERFLOW}, partial(_row)


def _row() -> dict[str, Any]:
    made = learner("llava-1.5-7b", small=True, precision="fp16")
    dialogues, watch = talk(STEPS, 4, side=64), Watch()
    network = fitting.prepared(made.blueprint, dialogues, 0)
    watch.attach(next(p for p in network.model.parameters() if p.requires_grad))
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(folder, batch=1, steps=STEPS) | {"bf16": False, "fp16": True}
        arguments |= {"logging_strategy": "steps", "logging_steps": 1}
        watch.trainer = WatchedTrainer(
            model=network.model,
            args=TrainingArguments(**arguments),
            train_dataset=Groups(
                dialogues, network.encoder, share=True, per_row=16, max_length=2048
            ),
            data_collator=collator(network),
            callbacks=[watch],
        )
        watch.trainer.train()
    losses = [row["loss"] for row in watch.trainer.state.log_history if "loss" in row]
    before, after = watch.weights[OVERFLOW - 1], watch.weights[OVERFLOW]
    skipped = torch.equal(before, after)
    moved = not torch.equal(after, watch.weights[-1])
    halved = watch.scales[OVERFLOW] == watch.scales[OVERFLOW - 1] / 2
    finite = all(bool(torch.isfinite(w).all()) for w in watch.weights)
    return {
        "scale_first": watch.scales[0],
        "scale_last": watch.scales[-1],
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "step_skipped": skipped,
        "scale_halved": halved,
        "went_on": moved,
        "ok": skipped and halved and moved and finite,
    }
