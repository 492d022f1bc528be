"""What trains is what the roles say: by part, by full module names, proved after the fact."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    Blip2Config,
    Blip2ForConditionalGeneration,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SiglipVisionConfig,
)

from vesalius.errors import ModelError, RecipeError, UnknownName
from vesalius.models.generative.text.families import family
from vesalius.training import parts
from vesalius.training.parts import census, count, part_of, prepare, resolve_dtype
from vesalius.training.settings import Adapter

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
LLAVA = family("llava").parts
BLIP2 = {
    "vision": ("vision_model",),
    "qformer": ("qformer", "query_tokens"),
    "projector": ("language_projection",),
    "language": ("language_model",),
}
QUERIES = r"\.encoder\.layer\.\d+\.(attention|crossattention)\.attention\.(query|key|value)"
T5 = r"\..*\.(q|k|v|o|wi_0|wi_1|wo)"


def llava() -> nn.Module:
    torch.manual_seed(0)
    text = LlamaConfig(**SIZES, num_attention_heads=2, vocab_size=40)
    vision = SiglipVisionConfig(**SIZES, num_attention_heads=2, image_size=16, patch_size=8)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=3)
    return LlavaForConditionalGeneration(config)


def blip2() -> nn.Module:
    torch.manual_seed(0)
    t5 = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    config = Blip2Config(
        vision_config={**SIZES, "num_attention_heads": 2, "image_size": 16, "patch_size": 8},
        qformer_config={**SIZES, "num_attention_heads": 2, "encoder_hidden_size": 16},
        text_config={"model_type": "t5", "vocab_size": 40, "feed_forward_proj": "gated-gelu", **t5},
        num_query_tokens=2,
    )
    return Blip2ForConditionalGeneration(config)


def trains(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_the_adapter_is_on_the_q_former_and_not_silently_on_t5() -> None:
    # PEFT's own answer for BLIP-2, and what published code wrote: two last names.
    listed = get_peft_model(blip2(), LoraConfig(target_modules=["q", "v"]))
    assert trains(listed)
    assert all("language_model" in name for name in trains(listed))  # T5 only: the trap

    roles: dict[str, Any] = {"qformer": "adapter"}
    with pytest.raises(ModelError, match=r"lands on language_model\..*outside qformer.*on no"):
        prepare(blip2(), BLIP2, roles, Adapter(targets=r".*\.(q|v)"))

    model = prepare(blip2(), BLIP2, roles, Adapter(r=2), {"qformer": QUERIES})
    assert all(".qformer.encoder.layer." in name for name in trains(model))
    # layers 0 and 1 attend to themselves, layer 0 also to the image (every second one): 3 x 3
    # linears of two matrices each
    assert len(trains(model)) == 3 * 3 * 2


def test_each_adapted_part_has_its_own_targets() -> None:
    roles: dict[str, Any] = {"qformer": "adapter", "language": "adapter", "projector": "full"}
    targets = {"qformer": QUERIES, "language": T5}
    model = prepare(blip2(), BLIP2, roles, Adapter(r=2), targets)
    counts = census(model, BLIP2)
    assert counts["vision"]["trainable"] == 0
    assert counts["projector"]["trainable"] == counts["projector"]["parameters"]
    assert 0 < counts["qformer"]["trainable"] < counts["qformer"]["parameters"]
    # T5 of 1 + 1 layers: encoder q k v o wi_0 wi_1 wo = 7, decoder 4 + 4 + 3 = 11
    assert sum("language_model" in name for name in trains(model)) == 2 * 18


def test_an_adapter_that_misses_one_of_its_parts_is_refused() -> None:
    roles: dict[str, Any] = {"vision": "adapter", "language": "adapter"}
    only_text = r"model\.language_model\..*\.q_proj"
    with pytest.raises(ModelError, match="on no module of vision"):
        prepare(llava(), LLAVA, roles, Adapter(targets=only_text))
    with pytest.raises(ModelError, match="lands on no module"):
        prepare(llava(), LLAVA, roles, Adapter(targets="no_such_layer"))
    with pytest.raises(ModelError, match=r"no adapter fits model\.language_model\.layers\.0 "):
        prepare(llava(), LLAVA, roles, Adapter(targets=r"model\.language_model\.layers\.0"))
    with pytest.raises(RecipeError, match="not a regular expression"):
        prepare(llava(), LLAVA, roles, Adapter(targets="("))


def test_last_names_that_also_hit_the_vision_tower_are_refused() -> None:
    # q_proj and v_proj are in LLaVA's vision tower too.
    with pytest.raises(ModelError, match=r"lands on model\.vision_tower\."):
        prepare(llava(), LLAVA, {"language": "adapter"}, Adapter(targets=r".*\.(q_proj|v_proj)"))


def test_roles_of_parts_that_are_not_there() -> None:
    with pytest.raises(UnknownName, match=r"no part called 'qformr'.*did you mean qformer"):
        prepare(blip2(), BLIP2, {"qformr": "full"}, Adapter())


def test_a_module_elsewhere_of_the_same_name_does_not_train_with_a_part() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projector = nn.Linear(2, 2)
            self.tower = nn.ModuleDict({"projector": nn.Linear(2, 2)})
            self.text = nn.ModuleDict({"q_proj": nn.Linear(2, 2)})

    parts = {"vision": ("tower",), "projector": ("projector",), "language": ("text",)}
    roles: dict[str, Any] = {"projector": "full", "language": "adapter"}
    with pytest.raises(ModelError, match=r"tower\.projector would train in full"):
        prepare(Twice(), parts, roles, Adapter(), {"language": r"\.q_proj"})


def test_a_part_inside_another_is_its_own() -> None:
    parts = family("qwen2_5_vl").parts
    assert part_of("model.visual.merger.mlp.0.weight", parts) == "projector"
    assert part_of("model.visual.blocks.0.attn.qkv", parts) == "vision"
    assert part_of("base_model.model.lm_head.weight", parts) == "language"
    assert part_of("lm_head_norm.weight", parts) == "other"  # a path ends at a dot


def test_full_fine_tuning_trains_the_part_itself_in_fp32() -> None:
    roles: dict[str, Any] = {"projector": "full", "language": "full"}
    model = prepare(llava().to(torch.bfloat16), LLAVA, roles, Adapter())
    counts = census(model, LLAVA)
    assert counts["vision"]["trainable"] == 0
    assert counts["language"]["trainable"] == counts["language"]["parameters"]
    kinds = {p.dtype for p in model.parameters() if p.requires_grad}
    assert kinds == {torch.float32}
    assert {p.dtype for p in model.parameters() if not p.requires_grad} == {torch.bfloat16}
    assert sum(c["parameters"] for c in counts.values()) == count(model)


def test_a_weight_that_no_adapter_file_can_hold_stays_frozen() -> None:
    roles: dict[str, Any] = {"qformer": "full", "language": "adapter"}
    model = prepare(blip2(), BLIP2, roles, Adapter(r=2), {"language": T5})
    frozen = {n for n, p in model.named_parameters() if "quer" in n and not p.requires_grad}
    assert "base_model.model.query_tokens" in frozen
    alone = prepare(blip2(), BLIP2, {"qformer": "full"}, Adapter())
    assert "query_tokens" in trains(alone)


@pytest.mark.parametrize(
    ("flags", "scale", "names"),
    [
        ({}, 8 / 4, 2),  # alpha / r; A and B
        ({"use_rslora": True}, 8 / math.sqrt(4), 2),  # alpha / sqrt(r)
        ({"use_dora": True}, 8 / 4, 3),  # A, B and the magnitudes
    ],
)
def test_lora_rslora_and_dora(flags: dict[str, bool], scale: float, names: int) -> None:
    adapter = Adapter(r=4, alpha=8, targets=r"model\.language_model\.layers\.0\..*q_proj", **flags)
    model = prepare(llava(), LLAVA, {"language": "adapter"}, adapter)
    assert len(trains(model)) == names
    layer = model.get_submodule("base_model.model.model.language_model.layers.0.self_attn.q_proj")
    assert layer.scaling["default"] == pytest.approx(scale)


@pytest.mark.parametrize(
    ("has", "training", "dtype"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, True, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, True, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": False}, True, torch.float32),
        ({}, True, torch.float32),
        ({"avx512_bf16": True, "amx_bf16": True}, False, torch.float32),
    ],
)
def test_on_a_cpu_training_is_in_bf16_where_it_has_instructions_for_it(
    has: dict[str, bool], training: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "cpu_only", lambda: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    assert resolve_dtype("auto", training=training) == dtype
    assert resolve_dtype("fp32", training=training) == torch.float32
