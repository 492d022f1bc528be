"""The network of ViLT: how it is read and made, what it is fed, and its loss."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import BertConfig, ViltConfig, ViltForMaskedLM, ViltForQuestionAnswering

from vesalius.cases.picture import Picture
from vesalius.errors import ModelError
from vesalius.models.vilt_network import Reader, Sizes, pretrained, small

SHAPES = ("bar", "disc", "no", "yes")


def blank(width: int, height: int) -> Picture:
    file = BytesIO()
    Image.new("RGB", (width, height), (90, 0, 200)).save(file, "PNG")
    return Picture(f"{width}x{height}", file.getvalue)


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Network and processor in one folder, as weights are released."""
    torch.manual_seed(0)
    for part in small(Sizes(), ["what shape?"], SHAPES):
        part.save_pretrained(tmp_path / "released")
    return tmp_path / "released"


def test_words_have_the_same_numbers_in_every_process() -> None:
    # the reserved five, then by frequency: disc twice, the others once in alphabetical order
    network, processor = small(Sizes(), ["A disc?", "disc 2"], ["yes", "no"])
    assert processor.tokenizer.convert_ids_to_tokens(range(9)) == [
        *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        *("disc", "2", "?", "a"),
    ]
    assert processor.tokenizer("a  DISC, 2")["input_ids"] == [2, 8, 5, 1, 6, 3]
    assert network.config.vocab_size == len(processor.tokenizer) == 9


def published(network: Any, inputs: dict[str, Any], labels: torch.Tensor) -> float:
    loss: float = ViltForQuestionAnswering.forward(network, **inputs, labels=labels).loss.item()
    return loss


def test_the_loss_is_cross_entropy_or_vilts_own() -> None:
    torch.manual_seed(0)
    network, processor = small(Sizes(), ["what shape?"], ["bar", "disc", "no"])
    inputs = dict(processor(blank(64, 64).pixels(), "what shape?", return_tensors="pt"))
    inputs = {name: tensor.expand(2, *tensor.shape[1:]) for name, tensor in inputs.items()}
    soft = torch.tensor([[1.0, 0.0, 0.3], [0.0, 0.6, 0.0]])
    logits = network(**inputs).logits
    assert network(labels=torch.tensor([2, 0]), **inputs)["loss"].item() == pytest.approx(
        -(logits.log_softmax(1)[0, 2] + logits.log_softmax(1)[1, 0]).item() / 2, rel=1e-5
    )
    own = published(network, inputs, soft)
    assert network(labels=soft, **inputs)["loss"].item() == pytest.approx(own, rel=1e-5)
    # the other half of the step is elsewhere: four questions, twelve targets
    part = network(labels=soft, num_items_in_batch=12, **inputs)["loss"].item()
    assert part == pytest.approx(own / 2, rel=1e-5)


def test_patches_are_never_drawn_at_random(released: Path) -> None:
    file = released / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"max_image_length": 4}))
    model, processor = pretrained(str(released), None, SHAPES)
    assert model.config.max_image_length == -1
    inputs = Reader(processor, 40, truncate=False).inputs([blank(64, 64)], ["what?"])
    # 3 tokens of text, the class token, and all of the 4 x 4 patches
    states = model.vilt(**inputs).last_hidden_state
    assert states.shape[1] == inputs["input_ids"].shape[1] + 1 + 16


@pytest.mark.parametrize(("width", "height"), [(200, 1), (3, 200), (100, 20), (40, 64)])
def test_a_picture_narrower_than_a_patch_is_padded(width: int, height: int) -> None:
    _, processor = small(Sizes(), ["what?"], SHAPES)
    pixels = Reader(processor, 40, truncate=False).inputs([blank(width, height)], ["what?"])
    *_, high, wide = pixels["pixel_values"].shape
    # at most int(64 * 1333 / 800) = 106 pixels, so 6 patches of 16, and at least one
    assert 16 <= high <= 96
    assert 16 <= wide <= 96
    assert (high % 16, wide % 16) == (0, 0)


@pytest.mark.parametrize("labels", [SHAPES, SHAPES[::-1], ("a", "b", "c", "d"), ("a", "b")])
def test_the_head_is_new_unless_it_knows_these_labels(labels: Any, released: Path) -> None:
    old = load_file(released / "model.safetensors")
    model, _ = pretrained(str(released), None, labels)
    assert model.config.label2id == {label: place for place, label in enumerate(labels)}
    new = model.state_dict()
    same = {name for name, was in old.items() if torch.equal(was, new[name])}
    assert same >= {name for name in old if name.startswith("vilt.")}
    assert ("classifier.0.weight" in same) == ("classifier.3.weight" in same) == (labels == SHAPES)


def test_masked_language_weights_get_a_head(released: Path) -> None:
    # vilt-b32-mlm: the same body under another head, which is dropped
    config = ViltConfig.from_pretrained(released)
    ViltForMaskedLM(config).save_pretrained(released)
    model, _ = pretrained(str(released), None, ("no", "yes"))
    assert isinstance(model, ViltForQuestionAnswering)
    assert model.classifier[-1].out_features == 2


def empty(folder: Path) -> None:
    shutil.rmtree(folder)


def foreign(folder: Path) -> None:
    BertConfig(hidden_size=8).save_pretrained(folder)


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def torn(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"torn")


def partial(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["vilt.pooler.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (empty, "cannot be loaded"),
        (foreign, "is bert, not ViLT"),
        (pickled, "cannot be loaded.*safetensors"),
        (torn, "cannot be loaded"),
        (partial, r"lacks 1 of ViLT's weights, vilt\.pooler"),
    ],
)
def test_weights_that_are_no_vilt_are_refused(
    spoil: Callable[[Path], None], message: str, released: Path
) -> None:
    spoil(released)
    with pytest.raises(ModelError, match=message) as refused:
        pretrained(str(released), None, SHAPES)
    assert "\n" not in str(refused.value)
