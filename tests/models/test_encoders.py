from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    ConvNextConfig,
    ConvNextImageProcessor,
    ConvNextModel,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from vesalius.cases.picture import Picture
from vesalius.errors import ImageError, ModelError
from vesalius.models import vector_memory
from vesalius.models.encoders import image_encoder


@pytest.fixture(scope="module")
def lite():
    return image_encoder()


def test_image_vectors_are_unit_ordered_and_repeatable(lite, draw) -> None:
    disc, bar = draw("disc"), draw("bar", "bar")
    vectors = lite.embed([disc, bar, disc])
    assert vectors.shape == (3, 1280)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[2])
    assert vectors[0] @ vectors[1] < 0.99
    assert np.allclose(image_encoder().embed([bar]), vectors[1:2], atol=1e-5)  # alone or in a batch
    assert lite.embed([]).shape == (0, 0)


def test_a_picture_is_decoded_once_and_a_changed_one_again(lite, draw, monkeypatch) -> None:
    decoded = []
    pixels = Picture.pixels
    monkeypatch.setattr(Picture, "pixels", lambda self: decoded.append(self.key) or pixels(self))
    one, same = draw("one", size=21), draw("same bytes, other key", size=21)
    before = lite.embed([one, one, same])
    lite.embed([one])
    assert decoded == ["one"]
    after = lite.embed([draw("one", size=58)])  # a perturbed picture may keep its key
    assert decoded == ["one", "one"]
    assert not np.allclose(before[0], after[0])


def test_memory_is_bounded(lite, draw, monkeypatch) -> None:
    monkeypatch.setattr(vector_memory, "REMEMBERED", 3)
    pictures = [draw(f"p{n}", size=n) for n in (11, 12, 13, 14, 15)]
    assert len(lite.embed(pictures)) == 5
    assert len(lite.memory) == 3


def test_unreadable_picture_is_named(lite) -> None:
    with pytest.raises(ImageError, match="broken one"):
        lite.embed([Picture("broken one", lambda: b"no picture")])


def tiny(kind: str, folder) -> None:
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 8, "image_size": 32, "patch_size": 8}
    if kind == "vit":
        ViTModel(ViTConfig(**sizes)).save_pretrained(folder)
        ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    elif kind == "clip":
        words = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
        words |= {"intermediate_size": 8, "vocab_size": 16}
        config = CLIPConfig(text_config=words, vision_config=sizes, projection_dim=8)
        CLIPModel(config).save_pretrained(folder)
        small = {"height": 32, "width": 32}
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=small).save_pretrained(folder)
    else:
        ConvNextModel(
            ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2)
        ).save_pretrained(folder)
        ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=1.0).save_pretrained(folder)


@pytest.mark.parametrize("kind", ["vit", "clip", "convnext"])
def test_transformers_vision_models_by_folder(kind, draw, tmp_path) -> None:
    torch.manual_seed(0)
    tiny(kind, tmp_path)
    vectors = image_encoder(str(tmp_path)).embed([draw("a"), draw("b", "bar")])
    assert vectors.shape == (2, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_unknown_and_pickled_encoders_are_refused(tmp_path) -> None:
    with pytest.raises(ModelError, match="no such encoder"):
        image_encoder(str(tmp_path / "nothing"))
    config = ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2)
    config.save_pretrained(tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError):
        image_encoder(str(tmp_path))
