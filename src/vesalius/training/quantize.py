"""A frozen language model in 4 bits (NF4), for adapters to train on: QLoRA."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from vesalius.errors import MissingExtra, RecipeError
from vesalius.training.parts import Parts, Role, part_of

Quantization = Literal["nf4"]
PART = "language"
"""The part that is quantised."""


@dataclass(frozen=True, slots=True)
class NF4:
    """bitsandbytes' 4-bit NormalFloat with double quantisation, computing in ``dtype``.

    The language model's linear layers are quantised; its embeddings, norms and head are not, nor
    are the other parts (vision, projector, Q-Former), which so equal those of the plain model.
    Source: Dettmers et al. 2023, https://arxiv.org/abs/2305.14314. Works on the CPU as well.
    """

    dtype: torch.dtype
    device: torch.device

    def arguments(self, parts: Parts) -> dict[str, Any]:
        """What ``from_pretrained`` needs to quantise weights while it reads them."""
        from transformers import BitsAndBytesConfig

        require_bitsandbytes()
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=self.dtype,
            llm_int8_skip_modules=_left_out(parts),
        )
        return {
            "quantization_config": config,
            "dtype": self.dtype,
            "device_map": {"": self.device},
        }

    def convert(self, model: Any, parts: Parts) -> Any:
        """The model, its language part quantised in place: the same bits as read quantised.

        One that was read quantised keeps its bits.
        """
        if not is_quantized(model):
            self._replace(model, parts)
        for module in model.modules():
            # bitsandbytes would repack weights on the CPU when they are first asked in evaluation,
            # their scales rounded to bf16: a validation would change the model that trains on.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        return model

    def _replace(self, model: Any, parts: Parts) -> None:
        from transformers.quantizers.base import HfQuantizer
        from transformers.quantizers.quantizers_utils import should_convert_module

        left_out = HfQuantizer.get_modules_to_not_convert(
            model, _left_out(parts), getattr(model, "_keep_in_fp32_modules", None)
        )
        for name, module in list(model.named_modules()):
            if type(module) is nn.Linear and should_convert_module(name, left_out):
                model.set_submodule(name, self._linear(module))
        model.is_loaded_in_4bit = True  # PEFT chooses its layers by it

    def _linear(self, plain: nn.Linear) -> nn.Module:
        bnb = require_bitsandbytes()
        packed: nn.Module = bnb.nn.Linear4bit(
            plain.in_features,
            plain.out_features,
            bias=plain.bias is not None,
            compute_dtype=self.dtype,
            compress_statistics=True,
            quant_type="nf4",
            device="meta",
        )
        weight = bnb.nn.Params4bit(
            plain.weight.data.to(self.dtype),
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
            module=packed,
        )
        packed.weight = weight.to(self.device)
        packed.bias = plain.bias
        return packed.requires_grad_(False)


def is_quantized(model: Any) -> bool:
    """Whether a model was read or made in 4 bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def steady(model: nn.Module, parts: Parts) -> None:
    """Bring the quantised part's norms, and what flows through it, to fp32, as training needs.

    The same numbers as with embeddings in fp32, which PEFT's ``prepare_model_for_kbit_training``
    has after the QLoRA code, without their memory; other parts stay as they are.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 and parameter.is_floating_point() and part_of(name, parts) == PART:
            parameter.data = parameter.data.float()
    for path in parts[PART]:
        model.get_submodule(path).register_forward_pre_hook(_in_fp32, with_kwargs=True)


def require_adapters(roles: Mapping[str, Role]) -> None:
    """RecipeError if a 4-bit base would train by itself, or other parts without adapters on it.

    A 4-bit weight has no gradient: without an adapter, training does not change it. Where every
    part is frozen nothing is meant to train: that is the untuned baseline.
    """
    if roles.get(PART) == "full":
        what = "a 4-bit part cannot train in full"
        raise RecipeError(what, where=f"model.roles.{PART}", hint="give it the role adapter")
    if "adapter" not in roles.values() and "full" in roles.values():
        what = "no adapter is attached to the 4-bit base"
        raise RecipeError(what, where="model.roles", hint=f"roles: {{{PART}: adapter}}")


def require_bitsandbytes() -> ModuleType:
    """The package; MissingExtra if it is not installed."""
    if find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "train")
    import bitsandbytes

    package: ModuleType = bitsandbytes
    return package


def _in_fp32(
    _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    embedded = named.get("inputs_embeds")
    return given, named if embedded is None else {**named, "inputs_embeds": embedded.float()}


def _left_out(parts: Parts) -> list[str]:
    others = [path for part, paths in parts.items() if part != PART for path in paths]
    return [*others, "lm_head"]
