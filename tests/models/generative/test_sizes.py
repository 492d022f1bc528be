"""Published sizes: an architecture built from them has as many parameters as the hub counts."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from vesalius.errors import ModelError
from vesalius.models.generative.text.families import families
from vesalius.models.generative.weights.sizes import joined, of, outline, published


def count(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", [*published(), *published("vision")])
def test_as_many_parameters_as_the_hub_counts(name: str) -> None:
    part = "models" if name in published() else "vision"
    about = of(name, part)
    made = outline(about)
    assert {p.device.type for p in made.parameters()} == {"meta"}  # no memory was taken
    if about.total is not None:
        assert count(made) == about.total


@pytest.mark.parametrize("name", list(published("language")))
def test_as_many_parameters_of_a_language_model(name: str) -> None:
    about = of(name, "language")
    with torch.device("meta"):
        config = AutoConfig.for_model(about.model_type, **about.config)
        made = AutoModelForCausalLM.from_config(config)
    assert count(made) == about.total


def test_families_are_known_ones_and_all_say_their_licence() -> None:
    for part in ("models", "vision", "language"):
        for about in published(part).values():
            assert about.licence
            assert about.family is None or about.family in families()


def test_a_joined_model_has_a_two_layer_projector_between_its_parts() -> None:
    clip, llama = "openai/clip-vit-large-patch14-336", "meta-llama/Meta-Llama-3-8B-Instruct"
    made = joined((clip, {}), (llama, {}), 0)
    projector = made.model.multi_modal_projector
    assert count(projector) == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    # 128,256 tokens and the picture's, to a multiple of 64: 128,320 in embeddings and in the head
    grown = (128_320 - 128_256) * 4096 * 2
    assert count(made) == 303_507_456 + 8_030_261_248 + grown + count(projector)


def test_unknown_sizes_name_the_known() -> None:
    with pytest.raises(ModelError, match=r"someone/theirs.*sizes are known of llava-hf"):
        of("someone/theirs")
