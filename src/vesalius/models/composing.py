"""Joining a vision tower and a language model into transformers' Llava, weights and processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessor,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
)

from vesalius.models import towers
from vesalius.models.efficientnet import MEAN, STD, efficientnet_lite0_features
from vesalius.models.generative.text.template import CHATML
from vesalius.models.generative.text.tokenizer import train_tokenizer
from vesalius.models.generative.weights.loading import Access, look, reading
from vesalius.models.generative.weights.sizes import of as published_part
from vesalius.system import packaged

SCRATCH = ("stem_vit", "llama")
PACKAGED = {"efficientnet_lite0": packaged.efficientnet_lite0, "smollm2": packaged.smollm2}
IMAGE = "<image>"
LANGUAGE = "a language model"
PLAIN = Access()


@dataclass(frozen=True, slots=True)
class Vision:
    """A tower, its image processor, and whether its first token is a class token to be dropped."""

    tower: PreTrainedModel
    images: Any
    class_token: bool


@dataclass(frozen=True, slots=True)
class Language:
    """A causal language model with its tokenizer, chat template set."""

    model: PreTrainedModel
    tokenizer: Any


def compose(vision: Vision, language: Language) -> tuple[PreTrainedModel, Any]:
    """The joined model, projector freshly initialised, and its processor.

    Of outlines (parts on the device ``meta``) the outline.
    """
    tokenizer, device = language.tokenizer, language.model.device
    if IMAGE not in tokenizer.get_vocab():
        tokenizer.add_special_tokens({"additional_special_tokens": [IMAGE]})
    if language.model.get_input_embeddings().num_embeddings < len(tokenizer):
        # New rows are drawn around the mean of the others, which an outline has not.
        language.model.resize_token_embeddings(
            len(tokenizer), pad_to_multiple_of=64, mean_resizing=device.type != "meta"
        )
    strategy = "default" if vision.class_token else "full"
    sizes = vision.tower.config
    config = LlavaConfig(
        vision_config=sizes,
        text_config=language.model.config,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE),
        image_seq_length=(sizes.image_size // sizes.patch_size) ** 2,
        vision_feature_layer=-1,
        vision_feature_select_strategy=strategy,
    )
    with torch.device(device):
        model = LlavaForConditionalGeneration(config)
    model.model.vision_tower.load_state_dict(vision.tower.state_dict())
    model.model.language_model.load_state_dict(language.model.model.state_dict())
    model.lm_head.load_state_dict(language.model.get_output_embeddings().state_dict())
    processor = LlavaProcessor(
        vision.images,
        tokenizer,
        patch_size=sizes.patch_size,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=int(vision.class_token),
        chat_template=tokenizer.chat_template,
    )
    return model, processor


def look_at(name: str, access: Access, what: str) -> None:
    """Refuse a part that could not be read, or not safely, before any of it is."""
    if name in PACKAGED:
        PACKAGED[name]()
    elif name not in SCRATCH:
        look(name, access, what)


def vision(
    name: str, sizes: Mapping[str, Any], access: Access = PLAIN, *, device: str = "cpu"
) -> Vision:
    """The tower a recipe names: from scratch, packaged, or a transformers one by id or folder.

    On the ``device`` ``meta`` it has shapes and no numbers.
    """
    if name == "stem_vit":
        with torch.device(device):
            tower = towers.StemViT(towers.StemViTConfig(**sizes))
        return Vision(tower, _square_images(tower.config.image_size, (0.5,) * 3, (0.5,) * 3), False)
    if name == "efficientnet_lite0":
        grid = _packaged_grid(device)
        return Vision(grid, _square_images(grid.config.image_size, MEAN, STD), False)
    what = "a vision encoder"
    config = look(name, access, what)
    with reading(name, what):
        whole = AutoModel.from_pretrained(name, **access.weights, **_onto(device))
        images = AutoImageProcessor.from_pretrained(name, **access.code)
    tower = whole.vision_model if hasattr(config, "vision_config") else whole
    return Vision(tower, images, "siglip" not in tower.config.model_type)


def _packaged_grid(device: str) -> towers.GridTower:
    with torch.device(device):
        grid = towers.GridTower(towers.GridTowerConfig())
    if device != "meta":
        weights = efficientnet_lite0_features().state_dict()
        grid.network.load_state_dict({k: v for k, v in weights.items() if not k.startswith("_fc.")})
    return grid


def language(
    name: str,
    sizes: Mapping[str, Any],
    access: Access = PLAIN,
    *,
    words: Iterable[str],
    vocabulary: int,
    device: str = "cpu",
) -> Language:
    """The language model a recipe names: from scratch, packaged, or a transformers one.

    On the ``device`` ``meta`` it has shapes and no numbers.
    """
    if name == "llama":
        return _small_llama(sizes, words, vocabulary, device)
    read = packaged_language(device) if name == "smollm2" else _read_language(name, access, device)
    tokenizer, model = read
    # ChatML with picture parts; every tokenizer can write it, and its markers stay single tokens.
    markers = [t for t in ("<|im_start|>", "<|im_end|>") if t not in tokenizer.get_vocab()]
    tokenizer.add_special_tokens({"additional_special_tokens": [*markers, IMAGE]})
    tokenizer.chat_template = CHATML
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Language(model, tokenizer)


def packaged_language(device: str) -> tuple[Any, PreTrainedModel]:
    """SmolLM2's tokenizer, with the chat template it came with, and its model in fp32.

    On the ``device`` ``meta`` it has shapes and no numbers.
    """
    file = packaged.smollm2()
    place, source = str(file.parent), {"gguf_file": file.name}
    with reading(file, LANGUAGE):
        tokenizer = AutoTokenizer.from_pretrained(place, **source)
        if device == "meta":  # reading would unpack the four bits of every weight
            known = published_part("smollm2", "language")
            config = AutoConfig.for_model(known.model_type, **known.config)
            with torch.device(device):
                return tokenizer, AutoModelForCausalLM.from_config(config)
        model = AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32, **source)
    # The weights are no longer in the file's four bits: what is saved must not say that they are,
    # and the model must not, or no trainer would take it.
    del model.config.quantization_config, model.hf_quantizer, model.quantization_method
    model.is_quantized = False
    # A folder of installed packages is no name: PEFT would look there for the vocabulary's size.
    model.name_or_path = model.config.name_or_path = ""
    return tokenizer, model


def _read_language(name: str, access: Access, device: str) -> tuple[Any, PreTrainedModel]:
    look(name, access, LANGUAGE)
    with reading(name, LANGUAGE):
        return (
            AutoTokenizer.from_pretrained(name, **access.code),
            AutoModelForCausalLM.from_pretrained(
                name, dtype=torch.float32, **access.weights, **_onto(device)
            ),
        )


def _onto(device: str) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for a device; none for the CPU, which is where it reads."""
    return {} if device == "cpu" else {"device_map": device}


def _small_llama(
    sizes: Mapping[str, Any], words: Iterable[str], vocabulary: int, device: str
) -> Language:
    tokenizer = train_tokenizer(
        words,
        vocabulary=vocabulary,
        special={"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
        extra=("<|im_start|>", IMAGE),
        chat_template=CHATML,
        around="user\nassistant\n",  # else six tokens, in every turn
    )
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    with torch.device(device):
        return Language(LlamaForCausalLM(config), tokenizer)


def _square_images(size: int, mean: tuple[float, ...], std: tuple[float, ...]) -> Any:
    """Resize to a square (pictures are padded to one before), nothing cropped away."""
    return CLIPImageProcessor(
        size={"height": size, "width": size},
        do_center_crop=False,
        image_mean=list(mean),
        image_std=list(std),
    )
