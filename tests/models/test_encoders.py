from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
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
from vesalius.errors import ImageError, MissingExtra, ModelError
from vesalius.models import encoders, vector_memory
from vesalius.models.encoders import (
    SentenceEncoder,
    efficientnet_lite0_features,
    image_encoder,
    to_tensor,
)


@pytest.fixture(scope="module")
def lite():
    return image_encoder()


@pytest.fixture(scope="module")
def minilm():
    return SentenceEncoder()


def test_picture_keeps_its_aspect_on_black() -> None:
    pixels = to_tensor(Image.new("RGB", (100, 50), (255, 255, 255)), 32)
    assert pixels.shape == (3, 32, 32)
    white, black = (255 - 127) / 128, (0 - 127) / 128
    assert torch.allclose(pixels[:, 8:24], torch.tensor(white))  # 32 x 16 in the middle
    assert torch.allclose(pixels[:, :8], torch.tensor(black))
    assert torch.allclose(pixels[:, 24:], torch.tensor(black))


@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (1, 1)])
def test_slivers_become_squares(size) -> None:
    assert to_tensor(Image.new("L", size, 9)).shape == (3, 224, 224)


def test_grid_is_frozen_and_of_the_stated_shape() -> None:
    network = efficientnet_lite0_features()
    grid = network.extract_features(torch.zeros(2, 3, 224, 224))
    assert grid.shape == (2, 1280, 7, 7)
    assert not grid.requires_grad
    assert not network.training
    assert 0 <= grid.min() <= grid.max() <= 6


def test_missing_architecture_is_named(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(encoders, "import_module", absent)
    with pytest.raises(MissingExtra, match="efficientnet-lite-pytorch"):
        efficientnet_lite0_features()


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


def test_sentence_vectors_know_meaning(minilm) -> None:
    plane, view, organ = minilm.embed(
        ["in which plane is it?", "which plane is shown?", "is the liver enlarged?"]
    )
    assert plane.shape == (384,)
    assert plane @ view > 0.7 > plane @ organ
    assert np.isclose(np.linalg.norm(plane), 1, atol=1e-5)


def test_sentences_do_not_depend_on_their_batch(minilm) -> None:
    long = "word " * 400
    together = minilm.embed(["short", long, "", "short"])
    assert np.array_equal(together[0], together[3])
    assert np.allclose(
        SentenceEncoder(batch=1).embed(["short", "", long]), together[[0, 2, 1]], atol=1e-5
    )
    assert minilm.embed([]).shape == (0, 0)
    assert np.isfinite(together).all()
