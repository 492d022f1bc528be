"""4-bit bases: the same bits however they come, other parts untouched, never without an adapter."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForImageTextToText,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipVisionConfig,
)

from vesalius.errors import MissingExtra, RecipeError
from vesalius.models.generative.text.families import family
from vesalius.training import quantize
from vesalius.training.parts import census, prepare
from vesalius.training.quantize import NF4, is_quantized, require_adapters, steady
from vesalius.training.settings import Adapter

PARTS = family("llava").parts
CPU = torch.device("cpu")
SIZES = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1}


def llava() -> LlavaForConditionalGeneration:
    torch.manual_seed(0)
    text = LlamaConfig(**SIZES, num_attention_heads=2, vocab_size=40)
    vision = SiglipVisionConfig(**SIZES, num_attention_heads=2, image_size=16, patch_size=8)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=3)
    return LlavaForConditionalGeneration(config)


def quantized(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if type(p).__name__ == "Params4bit"}


def same_bits(one: nn.Module, other: nn.Module) -> None:
    for name in quantized(one):
        first, second = one.get_parameter(name), other.get_parameter(name)
        assert torch.equal(first, second), name
        for a, b in zip(first.quant_state.as_dict().values(),
                        second.quant_state.as_dict().values(), strict=True):  # fmt: skip
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_made_in_memory_or_read_the_bits_are_the_same(dtype: torch.dtype, tmp_path: Path) -> None:
    llava().to(dtype).save_pretrained(tmp_path)
    four_bit = NF4(dtype, CPU)
    read = AutoModelForImageTextToText.from_pretrained(tmp_path, **four_bit.arguments(PARTS))
    made = four_bit.convert(llava().to(dtype), PARTS)
    # a Llama layer has 4 + 3 linears; the head stays as it is
    assert len(quantized(made)) == 7
    assert quantized(read) == quantized(made)
    same_bits(made, read)
    assert is_quantized(made)
    assert is_quantized(read)
    assert four_bit.convert(read, PARTS) is read


def test_vision_projector_embeddings_and_head_equal_the_plain_model() -> None:
    plain, made = llava(), NF4(torch.float32, CPU).convert(llava(), PARTS)
    assert all(name.startswith("model.language_model.layers.") for name in quantized(made))
    for name, parameter in plain.named_parameters():
        if name not in quantized(made):
            assert torch.equal(parameter, made.get_parameter(name)), name


def test_the_census_counts_weights_not_packed_bytes() -> None:
    plain, made = llava(), NF4(torch.float32, CPU).convert(llava(), PARTS)
    roles: dict[str, Any] = {"projector": "full", "language": "adapter"}
    one, other = (census(prepare(m, PARTS, roles, Adapter(r=2)), PARTS) for m in (plain, made))
    assert one == other


def test_norms_and_what_flows_are_fp32_and_the_other_parts_are_not() -> None:
    made = NF4(torch.bfloat16, CPU).convert(llava().to(torch.bfloat16), PARTS)
    steady(made, PARTS)
    kinds = {n: p.dtype for n, p in made.named_parameters() if n not in quantized(made)}
    raised = {n for n, kind in kinds.items() if kind == torch.float32}
    assert raised == {
        "model.language_model.norm.weight",
        "model.language_model.layers.0.input_layernorm.weight",
        "model.language_model.layers.0.post_attention_layernorm.weight",
    }
    seen: list[torch.dtype] = []
    layer = made.get_submodule("model.language_model.layers.0")
    layer.register_forward_hook(lambda _, given, out: seen.extend([given[0].dtype, out.dtype]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made(input_ids=torch.tensor([[5, 6, 7]]))
    assert seen == [torch.float32, torch.float32]


def test_an_evaluation_changes_no_4_bit_weight() -> None:
    # On the CPU bitsandbytes repacks them with rounded scales when they are first evaluated.
    made = NF4(torch.float32, CPU).convert(llava(), PARTS).eval()
    with torch.inference_mode():
        made(input_ids=torch.tensor([[5, 6, 7]]))
    same_bits(made, NF4(torch.float32, CPU).convert(llava(), PARTS))


def test_no_adapter_attached_to_a_4_bit_base() -> None:
    with pytest.raises(RecipeError, match="no adapter is attached to the 4-bit base"):
        require_adapters({"projector": "full", "language": "frozen"})
    with pytest.raises(RecipeError, match=r"roles\.language: a 4-bit part cannot train in full"):
        require_adapters({"projector": "adapter", "language": "full"})
    require_adapters({"projector": "full", "language": "adapter"})
    require_adapters({"qformer": "adapter", "language": "frozen"})
    require_adapters({"language": "frozen"})  # the untuned baseline, in 4 bits


def test_without_bitsandbytes_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    without = lambda name: None if name == "bitsandbytes" else find_spec(name)  # noqa: E731
    monkeypatch.setattr(quantize, "find_spec", without)
    with pytest.raises(MissingExtra, match=r"bitsandbytes.*pip install 'vesalius\[train\]'"):
        NF4(torch.float32, CPU).convert(llava(), PARTS)
