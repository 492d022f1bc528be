"""Which parts of a model train, how, and proof that just those do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import nn

from vesalius.errors import ModelError
from vesalius.training.settings import Adapter

Role = Literal["frozen", "adapter", "full"]


Parts = Mapping[str, tuple[str, ...]]
"""Part name (vision, projector, language ...) -> the module paths that make it up."""


def prepare(
    model: nn.Module, parts: Parts, roles: Mapping[str, Role], adapter: Adapter
) -> nn.Module:
    """The model with each part frozen, adapted or trained in full.

    Parts trained in full beside an adapter are saved with it. Trainable weights are fp32, whatever the base is.
    """
    adapted = [part for part, role in roles.items() if role == "adapter"]
    full = [part for part, role in roles.items() if role == "full"]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(name.startswith(parts[part]) for part in full))
    if adapted:
        from peft import LoraConfig, get_peft_model

        paths = "|".join(re.escape(path) for part in adapted for path in parts[part])
        targets = adapter.targets or rf"({paths})\..*\.(q|k|v|o|gate|up|down)_proj"
        config = LoraConfig(
            r=adapter.r,
            lora_alpha=adapter.alpha,
            lora_dropout=adapter.dropout,
            target_modules=targets,
            modules_to_save=[p.rsplit(".", 1)[-1] for part in full for p in parts[part]] or None,
            use_dora=adapter.use_dora,
            use_rslora=adapter.use_rslora,
        )
        try:
            model = get_peft_model(model, config)
        except ValueError as error:
            raise ModelError(
                f"the adapter lands on no module: {targets}", where="model.adapter.targets"
            ) from error
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    _verify(model, parts, roles)
    return model


def census(model: nn.Module, parts: Parts) -> dict[str, dict[str, int]]:
    """Per part, how many parameters there are and how many train ("other": outside all parts)."""
    counts = {part: {"parameters": 0, "trainable": 0} for part in (*parts, "other")}
    for name, parameter in model.named_parameters():
        if ".original_module." in name:
            continue  # PEFT's untouched copy of a part that trains in full
        bare = name.removeprefix("base_model.model.")
        part = next((p for p, paths in parts.items() if bare.startswith(paths)), "other")
        counts[part]["parameters"] += parameter.numel()
        counts[part]["trainable"] += parameter.numel() if parameter.requires_grad else 0
    return {part: count for part, count in counts.items() if count["parameters"]}


def _verify(model: nn.Module, parts: Parts, roles: Mapping[str, Role]) -> None:
    for part, count in census(model, parts).items():
        role = roles.get(part, "frozen")
        if role == "frozen" and count["trainable"]:
            raise ModelError(f"{part} should be frozen, but {count['trainable']:,} weights train")
        if role != "frozen" and not count["trainable"]:
            raise ModelError(f"{part} should train ({role}), but none of its weights does")


def trainable_state(model: nn.Module) -> dict[str, Any]:
    """The trainable parameters by name, on the CPU (for comparing runs)."""
    return {n: p.detach().cpu() for n, p in model.named_parameters() if p.requires_grad}


def count(model: nn.Module) -> int:
    """All parameters of a model."""
    return sum(p.numel() for p in model.parameters())


def resolve_dtype(precision: str, *, frozen_base: bool) -> torch.dtype:
    """The dtype to compute in: what the recipe says, or the machine's best for ``auto``."""
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision in named:
        return named[precision]
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    # On the CPU, bf16 pays only where there are instructions for it and the base stays frozen.
    fast = bool(torch.backends.cpu.get_cpu_capability().startswith("AVX512")) and _bf16_cpu()
    return torch.bfloat16 if frozen_base and fast else torch.float32


def _bf16_cpu() -> bool:
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())
