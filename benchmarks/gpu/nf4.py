"""QLoRA on the device: a released size in 4 bits beside bf16, its bits beside the CPU's, and learning."""

from __future__ import annotations

import tempfile
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from benchmarks.gpu.shapes import LONG, learner, talk
from benchmarks.gpu.tasks import DEVICE, GIB, Clock, Tasks, peak_gib, release, training_arguments
from transformers import TrainingArguments

from vesalius.models.generative import fitting
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.recipe import Decoding
from vesalius.training.quantize import NF4
from vesalius.training.trainer import WatchedTrainer

SHAPE, QUESTIONS, STEPS = "llava-1.5-7b", 4, 10


def tasks(*, small: bool) -> Tasks:
    """The bits of one layer; then training and answering with and without quantisation."""
    if find_spec("bitsandbytes") is None:
        yield {}, lambda: {"skipped": "bitsandbytes is not installed"}
        return
    yield {"what": "bits of a layer, device against CPU"}, _bits
    for quantization in (None, "nf4"):
        about = {"what": "train and answer", "shape": SHAPE, "quantization": quantization}
        yield about, partial(_trained, quantization, small)


def _bits() -> dict[str, Any]:
    torch.manual_seed(0)
    plain = torch.nn.Linear(512, 512, bias=False)
    packed = {}
    for device in {"cpu", DEVICE}:
        block = torch.nn.ModuleDict({"language": torch.nn.ModuleDict({"q_proj": plain})})
        nf4 = NF4(torch.bfloat16, torch.device(device))
        nf4.convert(block, {"language": ("language",)})
        layer: Any = block["language"]["q_proj"]  # type: ignore[index]
        from bitsandbytes import functional

        whole = functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        packed[device] = (layer.weight.data.cpu(), whole.float().cpu())
    (cpu_bits, cpu), (bits, whole) = packed["cpu"], packed[DEVICE]
    same = float((cpu_bits == bits).float().mean())
    off = float((cpu - whole).abs().max())
    return {"same_bytes": same, "largest_difference": off, "ok": same > 0.999 and off < 0.01}


def _trained(quantization: str | None, small: bool) -> dict[str, Any]:
    release()
    made = learner(SHAPE, small=small, quantization=quantization)
    dialogues = talk(1, QUESTIONS, side=64 if small else 336)
    network = fitting.prepared(made.blueprint, dialogues, 0)
    release()
    weights = round(torch.cuda.memory_allocated() / GIB, 1) if DEVICE == "cuda" else None
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(folder, batch=1, steps=STEPS) | {"learning_rate": 1e-3}
        arguments |= {"logging_strategy": "steps", "logging_steps": 1}
        trainer = WatchedTrainer(
            model=network.model,
            args=TrainingArguments(**arguments),
            train_dataset=Groups(
                dialogues, network.encoder, share=True, per_row=16, max_length=LONG
            ),
            data_collator=collator(network),
            callbacks=[clock],
        )
        trainer.train()
    peak = peak_gib()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    answerer = Answerer(network, autocast=torch.bfloat16)
    answers = answerer.predict([d.replying(None) for d in dialogues], Decoding(max_new_tokens=8))
    return {
        "weights_gib": weights,
        "step_s": round(clock.median(), 4),
        "peak_gib": peak,
        "loss_first": round(losses[0], 3),
        "loss_last": round(losses[-1], 3),
        "ok": losses[-1] < losses[0] and len(answers) == QUESTIONS,
    }
