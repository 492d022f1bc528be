"""transformers' Trainer, watched: what a step holds, and whether its numbers are numbers."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel, PrinterCallback, Trainer

from vesalius.errors import ModelError, RunError, VesaliusError
from vesalius.run import is_main
from vesalius.training.checkpoints import last_complete
from vesalius.training.disk import writing
from vesalius.training.processes import gathered, highest

NAMED = 16


@dataclass
class Seen:
    """What training has gone through, in this process."""

    samples: int = 0
    """Dialogues where batches name them, else rows."""
    tokens: int = 0
    """Padding aside where batches say so."""


class WatchedTrainer(Trainer):
    """A Trainer that stops at the first loss, gradient or weight that is not a number.

    Batches may hold, beside tensors, ``ids`` (the dialogues in it) and ``tokens`` (how many there
    are, padding aside); the model gets neither. What is not a number is never saved.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)  # our bar and log.jsonl say it already
        self.seen = Seen()
        self._ids: list[list[str] | None] = []
        self._losses: list[torch.Tensor] = []

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], Any]:
        """The batches of an optimizer step, and how many labels they bear in all processes."""
        batches, labels = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._ids, self._losses = [batch.pop("ids", None) for batch in batches], []
        for batch, ids in zip(batches, self._ids, strict=True):
            whole = batch["input_ids"].numel() if "input_ids" in batch else 0
            self.seen.tokens += int(batch.pop("tokens", whole))
            self.seen.samples += len(next(iter(batch.values())) if ids is None else ids)
        return batches, labels

    def training_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Forward and backward of one batch."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._losses.append(loss)
        if len(self._losses) == len(self._ids):  # once a step: asking a GPU makes it wait
            self._require_finite_losses()
        return loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log a step, unless its gradient is not a number (fp16's scaler skips such steps)."""
        if not self.args.fp16 and not math.isfinite(logs.get("grad_norm", 0.0)):
            raise self._refusal("the gradient", self.state.global_step)
        super().log(logs, start_time)

    def save_weights(self, folder: Path) -> None:
        """Write the trained weights (adapters, or the whole model) as ``load`` expects them."""
        self._require_finite_weights()
        with writing("the trained weights", folder):
            self.save_model(str(folder), _internal_call=True)
            if is_main():
                (folder / "training_args.bin").unlink(missing_ok=True)  # a pickle nobody reads

    def load_weights(self, folder: Path) -> None:
        """Read weights that :meth:`save_weights` wrote into the model."""
        self._load_from_checkpoint(str(folder))

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        # A model read with renamed weights would be saved under the old names, and going on from
        # them would find none of its own (Trainer only warns, and trains from the start).
        model = self.accelerator.unwrap_model(self.model)
        if not isinstance(model, PreTrainedModel):
            super()._save(output_dir, state_dict)
            return
        whole = model.save_pretrained
        model.save_pretrained = partial(whole, save_original_format=False)
        try:
            super()._save(output_dir, state_dict)
        finally:
            del model.save_pretrained

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        tied = set(getattr(self.model, "all_tied_weights_keys", None) or ())
        lost = sorted(set(load_result.missing_keys) - tied)
        if lost or load_result.unexpected_keys:
            name = (lost or load_result.unexpected_keys)[0]
            raise RunError(
                f"the checkpoint holds other weights than the model: {name}",
                where=self.args.output_dir,
                hint="fit into a new --run folder",
            )

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self._require_finite_weights()
        parent = Path(self.args.output_dir)
        folder = parent / f"checkpoint-{self.state.global_step}"
        last = last_complete(parent)
        onward = "from the beginning" if last is None else f"from {last.name}"
        failure: VesaliusError | None = None
        try:
            with writing(folder.name, parent, f"make room; the same command goes on {onward}"):
                super()._save_checkpoint(model, trial)
        except VesaliusError as error:
            failure = error
        failed = highest(int(failure is not None))
        if failed and is_main():
            shutil.rmtree(folder, ignore_errors=True)
        if failed:
            raise failure or RunError("another process could not save it", where=folder)

    def _run_epoch(self, **options: Any) -> None:
        # A run that was stopped after its last step has nothing left to do; Trainer would go on.
        if not self.control.should_training_stop:
            super()._run_epoch(**options)

    def _require_finite_losses(self) -> None:
        finite = torch.isfinite(torch.stack(self._losses))
        if not highest(int(not finite.all())):
            return
        self._ids = [i for i, fine in zip(self._ids, finite.tolist(), strict=True) if not fine]
        raise self._refusal("the loss", self.state.global_step + 1)

    def _require_finite_weights(self) -> None:
        trained = (p.detach() for p in self.model.parameters() if p.requires_grad)
        local = (p.to_local() if hasattr(p, "to_local") else p for p in trained)
        poisoned = any(not torch.isfinite(p).all() for p in local)
        if highest(int(poisoned)):
            raise self._refusal("a trained weight", self.state.global_step)

    def _refusal(self, what: str, step: int) -> ModelError:
        named = [ids for process in gathered(self._ids) for ids in process]
        ids = [name for group in named for name in group or ()]
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        batch = ", ".join(islice(ids, NAMED)) + more if ids else "its dialogues are not named"
        last = last_complete(Path(self.args.output_dir))
        return ModelError(
            f"{what} is not a number at step {step} (batch: {batch}); last good checkpoint:"
            f" {'none' if last is None else last}",
            hint="a lower training.learning_rate, more warmup_steps, or precision fp32",
        )
