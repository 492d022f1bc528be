"""The settings that gradient training shares, as a recipe's ``training:`` block."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vesalius.recipe import Frozen

Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Training(Frozen):
    """How weights are trained: steps, rate, batch, checkpoints."""

    epochs: float = Field(default=3.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Stop after so many optimizer steps, whatever ``epochs`` says."""
    learning_rate: float = Field(default=1e-4, gt=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_steps: int = Field(default=0, ge=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch: int = Field(default=4, ge=1)
    """Rows in a forward pass; a row is one image with its questions."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes in an optimizer step."""
    clip: float = Field(default=1.0, gt=0)
    """The largest gradient norm."""
    optimizer: str = "adamw_torch"
    """A transformers optimizer name, e.g. ``adamw_torch`` or ``adamw_8bit``."""
    gradient_checkpointing: bool = False
    checkpoint_steps: int = Field(default=100, ge=1)
    """A resumable checkpoint every so many steps (the last two are kept)."""
    workers: int = Field(default=0, ge=0)
    """Processes that read and tokenise beside the training one."""


class Adapter(Frozen):
    """Low-rank adapters (LoRA, Hu et al. 2021)."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | None = None
    """A regular expression over full module names; by default the family's language layers."""
    quantize: Literal["nf4"] | None = None
    """``nf4``: QLoRA, the frozen base in 4-bit NormalFloat (bitsandbytes)."""
    use_dora: bool = False
    use_rslora: bool = False
