"""Exported processors: the chat template travels, whatever file it came in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys import FAMILIES, dialogues, network
from transformers import AutoProcessor

from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.text.families import family
from vesalius.models.generative.weights.folder import write_whole
from vesalius.models.generative.weights.loading import read_model, read_processor


def written(net: Network, folder: Path) -> Path:
    write_whole(net.model, net.processor, net.stops, folder)
    return folder


def rendered(folder: Path, name: str) -> str:
    """The prompt as anybody writes it who loads the folder with plain transformers."""
    processor = AutoProcessor.from_pretrained(folder)
    renderer = processor if family(name).renderer == "processor" else processor.tokenizer
    content: list[dict[str, Any]] = [{"type": "image"}, {"type": "text", "text": "what plane?"}]
    text: str = renderer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    return text


def prompt(net: Network) -> str:
    asked = next(d for d in dialogues() if d.question.text == "what plane?")
    return net.encoder.template.render(asked.replying(None)).text


@pytest.mark.parametrize("name", FAMILIES)
def test_an_exported_processor_writes_the_prompts_of_training(name: str, tmp_path: Path) -> None:
    net = network(name)
    assert rendered(written(net, tmp_path / "out"), name) == prompt(net)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("place", ["chat_template.jinja", "tokenizer_config.json", "both"])
def test_a_local_folder_keeps_its_template_wherever_that_is(
    name: str, place: str, tmp_path: Path
) -> None:
    base = written(network(name), tmp_path / "base")
    jinja, config = base / "chat_template.jinja", base / "tokenizer_config.json"
    template = "{{ 'BEGIN ' }}" + jinja.read_text()
    jinja.write_text(template)
    if place != "chat_template.jinja":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"chat_template": template}))
    if place == "tokenizer_config.json":
        jinja.unlink()
    net = assemble(read_model(base), read_processor(base), family(name), max_length=2048)
    assert prompt(net).startswith("BEGIN ")
    assert rendered(written(net, tmp_path / "out"), name) == prompt(net)


@pytest.mark.parametrize("name", ["blip2_t5", "llava", "paligemma"])
def test_a_recipes_template_takes_the_place_of_the_models_own(name: str, tmp_path: Path) -> None:
    plain = network(name)
    template = "{{ 'OURS ' }}" + plain.processor.tokenizer.chat_template
    net = assemble(
        plain.model, plain.processor, plain.family, max_length=2048, chat_template=template
    )
    assert prompt(net).startswith("OURS ")
    assert rendered(written(net, tmp_path / "out"), name) == prompt(net)
