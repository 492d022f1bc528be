"""Networks that see: hidden layers, open_clip folders, and a run's own vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import ViTConfig, ViTImageProcessor, ViTModel

from vesalius.errors import MissingExtra, ModelError, RecipeError
from vesalius.models import encoders, image_networks
from vesalius.models.encoders import image_encoder, require_encoder
from vesalius.recipe import Data, Recipe
from vesalius.retrieval import EncoderBlock, Retrieve
from vesalius.run import Run
from vesalius.settings import validated

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit")
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(**sizes, intermediate_size=8, image_size=32, patch_size=8)
    ViTModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("layer", "pool"), [(0, "mean"), (1, "cls"), (2, "mean"), (-1, "cls")])
def test_a_hidden_layer_is_read_and_pooled(vit, draw, layer, pool) -> None:
    block = EncoderBlock(weights=str(vit), layer=layer, pool=pool)
    picture = draw("a")
    (vector,) = image_encoder(block).embed([picture])
    network = ViTModel.from_pretrained(vit).eval()
    pixels = ViTImageProcessor.from_pretrained(vit)(picture.pixels(), return_tensors="pt")
    with torch.no_grad():
        states = network(**pixels, output_hidden_states=True).hidden_states[layer][0]
    expected = (states[0] if pool == "cls" else states.mean(0)).numpy()
    assert vector == pytest.approx(expected / np.linalg.norm(expected), abs=1e-5)


def test_layers_are_different_encoders_and_a_block_without_one_is_its_name(vit) -> None:
    blocks = [EncoderBlock(weights=str(vit), layer=layer) for layer in (1, 2)]
    first, second = map(image_encoder, blocks)
    assert first.identity() != second.identity()
    assert first.name.endswith("layer 1 mean")
    assert image_encoder(EncoderBlock(weights=str(vit))) is image_encoder(str(vit))


def test_a_layer_that_there_is_not_is_refused_before_weights_are_loaded(vit, monkeypatch) -> None:
    monkeypatch.setattr(image_networks, "pretrained", None)  # it must not be called
    with pytest.raises(ModelError, match="no hidden layer 3: 0 to 2"):
        require_encoder(EncoderBlock(weights=str(vit), layer=3))
    require_encoder(EncoderBlock(weights=str(vit), layer=2))


@pytest.mark.parametrize(
    "block", [{}, {"weights": "a", "run": "b"}, {"run": "b", "layer": 1}, {"weights": "a", "x": 1}]
)
def test_a_block_says_one_source(block) -> None:
    with pytest.raises(RecipeError):
        validated(Retrieve, {"encoder": block}, where="retrieve")


MODEL = {
    "embed_dim": 6,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def clip(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed (extra clip)")
    torch.manual_seed(0)
    model = open_clip.CLIP(
        MODEL["embed_dim"],
        open_clip.CLIPVisionCfg(**MODEL["vision_cfg"]),
        open_clip.CLIPTextCfg(**MODEL["text_cfg"]),
    )
    save_file(
        {k: v.contiguous() for k, v in model.state_dict().items()}, tmp_path / "m.safetensors"
    )
    config = {"model_cfg": MODEL, "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    return tmp_path, model.eval()


def test_an_open_clip_folder_gives_its_image_vector(clip, draw) -> None:
    folder, model = clip
    require_encoder(str(folder))
    picture = draw("a", "bar")
    (vector,) = image_encoder(str(folder)).embed([picture])
    small = picture.pixels().resize((32, 32))
    pixels = torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        expected = model.encode_image(pixels, normalize=True)[0].numpy()
    assert vector.shape == (6,)
    assert vector @ expected > 0.95  # resized by another filter


def test_an_open_clip_folder_that_is_not_whole_is_refused(clip) -> None:
    folder, _ = clip
    with pytest.raises(ModelError, match="no hidden layer"):
        require_encoder(EncoderBlock(weights=str(folder), layer=1))
    (folder / "m.safetensors").rename(folder / "m.bin")
    with pytest.raises(ModelError, match=r"holds 0 files of safetensors.*pickled"):
        require_encoder(str(folder))
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(ModelError, match="not an open_clip configuration"):
        require_encoder(str(folder))


def test_a_missing_open_clip_is_named(tmp_path, monkeypatch) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL}))

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(image_networks, "import_module", absent)
    with pytest.raises(MissingExtra, match=r"vesalius\[clip\]"):
        require_encoder(str(tmp_path))


class Tagger:
    """A fitted run whose model has vectors, or none."""

    def __init__(self, model: object) -> None:
        self.model = model

    def load(self, run: Run) -> object:
        return self.model


class Sighted:
    def embed(self, pictures):
        return np.array([[3.0, 4.0]] * len(pictures), np.float32)


def test_the_vectors_of_a_run_are_brought_to_length_one(tmp_path, draw, monkeypatch) -> None:
    recipe = Recipe(name="r", data=Data(dataset="x"), model={"name": "t"})
    run = Run.create(tmp_path / "run", recipe)
    run.weights.mkdir(parents=True)
    (run.weights / "head").write_text("1")
    monkeypatch.setattr(Run, "require_fitted", lambda self: None)
    monkeypatch.setattr(encoders, "build", lambda block: Tagger(Sighted()))
    encoder = encoders.RunEncoder(EncoderBlock(run=str(run.path)))
    assert encoder.embed([draw("a")]).tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert encoder.embed([]).shape == (0, 0)
    before = encoder.identity()
    (run.weights / "head").write_text("2")
    assert encoders.RunEncoder(EncoderBlock(run=str(run.path))).identity() != before
    monkeypatch.setattr(encoders, "build", lambda block: Tagger(object()))
    with pytest.raises(ModelError, match="a t embeds no pictures"):
        encoders.RunEncoder(EncoderBlock(run=str(run.path)))
