"""The settings that gradient training shares, as a recipe's ``training:`` block."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field

from vesalius.settings import Frozen

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Training(Frozen):
    """How weights are trained: steps, rate, batch, checkpoints."""

    epochs: float = Field(default=3.0, gt=0)
    """Passes over the training split."""
    max_steps: int | None = Field(default=None, ge=1)
    """Stop after so many optimizer steps, whatever ``epochs`` says."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """The highest rate, reached after the warm-up."""
    schedule: Literal["linear", "cosine", "constant", "stable"] = "linear"
    """How the rate falls after the warm-up; ``stable`` holds it and falls in the last fifth."""
    warmup_steps: int = Field(default=0, ge=0)
    """Optimizer steps in which the rate rises from 0."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's decoupled weight decay."""
    batch: int = Field(default=4, ge=1)
    """Rows in a forward pass of one process; a row is one image with its questions."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes in an optimizer step."""
    clip: float = Field(default=1.0, gt=0)
    """The largest gradient norm."""
    optimizer: str = "adamw_torch"
    """A transformers optimizer name, e.g. ``adamw_torch`` or ``adamw_8bit``."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""
    checkpoint_steps: int = Field(default=100, ge=1)
    """A resumable checkpoint every so many steps (the last two are kept)."""
    validate_every: int | None = Field(default=None, ge=1)
    """Validate every so many optimizer steps, and at the end; by default after each epoch."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after so many validations in a row that did not improve on the best score."""
    keep_best: int = Field(default=0, ge=0)
    """Keep the weights of the best so many validations; the best ones become the fitted model."""
    workers: int = Field(default=0, ge=0)
    """Subprocesses that read and tokenise beside the training one."""

    def steps(self, rows: int, processes: int = 1) -> int:
        """Optimizer steps in all, for ``rows`` shared by so many processes that train together."""
        per_epoch = math.ceil(math.ceil(rows / (self.batch * processes)) / self.accumulate)
        return self.max_steps or math.ceil(self.epochs * per_epoch)


class Adapter(Frozen):
    """Low-rank adapters (LoRA, Hu et al. 2021)."""

    r: int = Field(default=16, ge=1)
    """The rank."""
    alpha: int = Field(default=32, ge=1)
    """The scale: updates are multiplied by alpha / r."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout before the adapter; with any, packed and separate rows draw different masks."""
    targets: str | None = None
    """A regular expression over full module names; by default the family's language layers."""
    use_dora: bool = False
    """Weight-decomposed adapters (Liu et al. 2024)."""
    use_rslora: bool = False
    """Rank-stabilised scaling, alpha / sqrt(r) (Kalajdzievski 2023)."""
