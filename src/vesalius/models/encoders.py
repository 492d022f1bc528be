"""Frozen encoders: pictures and sentences become unit vectors. Nothing here is ever trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from transformers import AutoTokenizer

from vesalius.cases.picture import Picture
from vesalius.errors import MissingExtra, ModelError
from vesalius.models.build import build
from vesalius.models.capabilities import Embedding
from vesalius.models.feature_cache import Content, Vectors
from vesalius.models.image_networks import (
    ImageNetwork,
    image_network,
    pretrained,
    require_network,
)
from vesalius.models.prefetch import ahead
from vesalius.models.vector_memory import Memory
from vesalius.retrieval import Encoder, EncoderBlock, as_block
from vesalius.run import Run, environment
from vesalius.system import packaged
from vesalius.system.manifest import manifest

SIZE = 224
"""Pixels a side that EfficientNet-lite0 was trained at; its grid is then 7 x 7."""
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3
"""EfficientNet-lite's own normalisation of RGB in [0, 1], not ImageNet's usual one.

Source: ``MEAN_RGB``, ``STDDEV_RGB`` in efficientnet/lite/efficientnet_lite_builder.py of
https://github.com/tensorflow/tpu.
"""
WORDS = 256
"""Tokens of a text that MiniLM reads (its ``sentence_bert_config.json``); the rest is cut."""
PATIENCE = 200
"""Above so many pictures a progress bar is shown."""
PACKAGES = ("vesalius", "torch", "transformers", "pillow")
"""What decodes, prepares and computes: of another version of these no vector is taken."""


class FeatureGrid(Protocol):
    """A convolutional network that yields a grid of features."""

    def extract_features(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, height, width), normalised -> features (B, channels, rows, columns)."""


def efficientnet_lite0_features() -> nn.Module:
    """EfficientNet-lite0 with its ImageNet weights, frozen, in evaluation mode, in float32.

    ``extract_features`` maps normalised pixels (B, 3, 224, 224) to features (B, 1280, 7, 7), all
    in [0, 6]. MissingExtra if the architecture or the weights are not installed.
    Source: M. Tan, Q. Le, EfficientNet, ICML 2019, https://arxiv.org/abs/1905.11946.
    """
    try:
        architecture = import_module("efficientnet_lite_pytorch")
    except ImportError as error:
        raise MissingExtra("efficientnet-lite-pytorch", "models") from error
    weights = torch.load(packaged.efficientnet_lite0(), map_location="cpu", weights_only=True)
    network: nn.Module = architecture.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(weights)
    network.eval().requires_grad_(requires_grad=False)
    # A third faster on a CPU: the depthwise convolutions then read neighbouring memory.
    return network.to(memory_format=torch.channels_last)


def to_tensor(image: Image.Image, size: int = SIZE) -> Tensor:
    """A picture as EfficientNet-lite0 wants it: float32 (3, size, size), by MEAN and STD.

    The longer side becomes ``size`` and black fills the square, so shapes keep their aspect and
    the border looks like the air around a scan. Stretching to the square instead scores about one
    point of a hundred more on VQA-Med 2019's validation split, which is within its noise.
    """
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    small = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (size, size))
    square.paste(small, ((size - width) // 2, (size - height) // 2))
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1).float() / 255
    return (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


class ImageEncoder:
    """Pictures to pooled unit vectors by a frozen network; each distinct picture is encoded once.

    ``prepare`` turns a decoded picture into pixels (3, height, width), ``pool`` a batch of those
    into (B, d); ``digest`` names both, and ``identity`` the weights and how they are read, whatever
    versions and devices compute: an index knows its encoder by it.

    Vectors are remembered by the pictures' bytes, frame and window, so a changed picture under an
    old key is never mistaken for the old one: in this process, and, while a step over data sets
    runs, for all runs on this machine (:mod:`vesalius.models.feature_cache`).
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[Image.Image], Tensor],
        pool: Callable[[Tensor], Tensor],
        *,
        device: torch.device,
        digest: Callable[[], str],
        identity: Callable[[], str] | None = None,
        batch: int = 16,
    ) -> None:
        self.name = name
        self.identity = identity or digest
        self._prepare, self._pool = prepare, pool
        self._device, self._batch = device, batch
        self.memory = Memory(digest)

    def embed(self, pictures: Sequence[Picture], *, label: str = "Encoding pictures") -> Vectors:
        """L2-normalised vectors, float32 (n, d), in order; (0, 0) for none.

        While one batch is computed a thread decodes the next, so at most twice ``batch`` pictures
        are decoded at a time. ImageError names the picture that cannot
        be read. Above 200 new pictures a progress bar called ``label`` goes to standard error.
        """
        contents = {one: Content.of_picture(one) for one in dict.fromkeys(pictures)}
        encoded = self.memory.read(list(contents.values()))
        fresh: dict[Content, Picture] = {}
        for picture, content in contents.items():
            if content not in encoded:
                fresh.setdefault(content, picture)
        todo = list(fresh.items())
        bar = Console(stderr=True)
        batches = [todo[at : at + self._batch] for at in range(0, len(todo), self._batch)]
        decoded = ahead((some, self._pixels([one for _, one in some])) for some in batches)
        few = len(todo) <= PATIENCE
        for some, pixels in track(
            decoded, label, len(batches), console=bar, transient=True, disable=few
        ):
            vectors = self._encode(pixels)
            new = {content: vector for (content, _), vector in zip(some, vectors, strict=True)}
            self.memory.write(new)
            encoded |= new
        return _stack([encoded[contents[picture]] for picture in pictures])

    def embed_studies(
        self, studies: Sequence[Sequence[Picture]], *, label: str = "Encoding pictures"
    ) -> Vectors:
        """A unit vector a study, float32 (n, d): the mean of its pictures' vectors, normalised."""
        vectors = self.embed([one for study in studies for one in study], label=label)
        ends = np.cumsum([len(study) for study in studies])[:-1]
        return _stack([_mean(part) for part in np.split(vectors, ends)] if studies else [])

    def _pixels(self, pictures: Sequence[Picture]) -> Tensor:
        return torch.stack([self._prepare(picture.pixels()) for picture in pictures])

    @torch.inference_mode()
    def _encode(self, pixels: Tensor) -> Vectors:
        pooled = self._pool(pixels.to(self._device)).float()
        return _array(nn.functional.normalize(pooled, dim=1))


def _mean(vectors: Vectors) -> Vectors:
    """The normalised mean (d,) of unit vectors (k, d); one vector is left as it is."""
    if len(vectors) == 1:
        return np.asarray(vectors[0])
    mean = vectors.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


class SentenceEncoder:
    """Texts to unit vectors: token states of a BERT, averaged over the attention mask.

    ``name`` is a folder or hub name of a transformers text encoder in safetensors; by default
    all-MiniLM-L6-v2 (384-d). Source: N. Reimers, I. Gurevych, Sentence-BERT, EMNLP 2019.
    """

    def __init__(self, name: str = "minilm", *, batch: int = 64) -> None:
        folder = str(packaged.minilm()) if name == "minilm" else name
        self.name = name
        self._device, self._batch = _device(), batch
        self._network = pretrained(folder).to(self._device)
        self._tokens = AutoTokenizer.from_pretrained(folder)
        self.memory = Memory(lambda: self.digest)

    @cached_property
    def digest(self) -> str:
        """Of weights, tokenizer and the number of tokens read."""
        tokenizer = getattr(self._tokens, "backend_tokenizer", None)
        facts = [WORDS, tokenizer.to_str() if tokenizer else repr(self._tokens.get_vocab())]
        return _digest(self._network, facts)

    @cached_property
    def identity(self) -> str:
        """Of weights and tokens read, whatever versions compute."""
        return _identity(self._network, [WORDS])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised vectors, float32 (n, d), in order; (0, 0) for none. Equal texts once."""
        contents = {text: Content.of_text(text) for text in texts}
        encoded = self.memory.read(list(contents.values()))
        todo = [text for text, content in contents.items() if content not in encoded]
        new = {contents[text]: vector for text, vector in self._encoded(todo).items()}
        if new:
            self.memory.write(new)
        encoded |= new
        return _stack([encoded[contents[text]] for text in texts])

    def embed_once(self, texts: Sequence[str]) -> Vectors:
        """As :meth:`embed`, past the shared cache: for texts that do not come again."""
        encoded = self._encoded(set(texts))
        return _stack([encoded[text] for text in texts])

    def _encoded(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """Vectors by text; those of a length together, so that a batch pads little."""
        todo = sorted(texts, key=lambda text: (len(text), text))
        encoded: dict[str, Vectors] = {}
        for at in range(0, len(todo), self._batch):
            some = todo[at : at + self._batch]
            encoded |= zip(some, self._encode(some), strict=True)
        return encoded

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Vectors:
        tokens = self._tokens(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=WORDS
        ).to(self._device)
        states = self._network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return _array(nn.functional.normalize(mean, dim=1))


class Vision(ImageNetwork):
    """A network that can be trained, and read as an encoder at any time."""

    def encoder(self) -> ImageEncoder:
        """The network as it is now, frozen, on this machine's device."""
        self.network.to(_device()).eval().requires_grad_(requires_grad=False)
        return ImageEncoder(
            self.name,
            self.prepare,
            self.pool,
            device=_device(),
            digest=cache(lambda: _digest(self.network, [*self.facts, *self.settings])),
            identity=cache(lambda: _identity(self.network, self.facts)),
        )


def vision(encoder: Encoder = "efficientnet_lite0") -> Vision:
    """The network of that name with its weights, a new one at each call; see `image_encoder`."""
    if encoder == "efficientnet_lite0":
        whole = efficientnet_lite0_features()
        grid = cast("FeatureGrid", whole)
        facts = (encoder, SIZE, MEAN, STD)
        return Vision(
            encoder, whole, to_tensor, lambda x: grid.extract_features(x).mean((2, 3)), facts
        )
    seen = image_network(as_block(encoder))
    return Vision(str(encoder), seen.network, seen.prepare, seen.pool, seen.facts, seen.settings)


def image_encoder(encoder: Encoder = "efficientnet_lite0") -> ImageEncoder:
    """The frozen encoder of that name or block: packaged, of transformers, of open_clip, of a run.

    One a process: what one model has had encoded, the next need not encode again.
    EfficientNet-lite0 gives 1280 numbers, the mean over its grid. Any other name is a folder
    or hub name of a transformers vision model in safetensors, whose own processor prepares the
    picture; its image or pooler output is taken, else the mean of its states. A block says more:
    a hidden layer, an open_clip folder, a run whose model embeds pictures.
    """
    return _image_encoder(encoder if isinstance(encoder, str) else encoder.plain)


@cache
def _image_encoder(encoder: Encoder) -> ImageEncoder:
    if isinstance(encoder, EncoderBlock) and encoder.run:
        return RunEncoder(encoder)
    return vision(encoder).encoder()


def require_encoder(encoder: Encoder) -> None:
    """Raise what :func:`image_encoder` would, without the time and memory of loading weights.

    A hub name costs the download of its configuration; a missing weight file shows only later.
    """
    if isinstance(encoder, EncoderBlock) and encoder.run:
        image_encoder(encoder)
    elif encoder == "efficientnet_lite0":
        packaged.efficientnet_lite0()
        if find_spec("efficientnet_lite_pytorch") is None:
            raise MissingExtra("efficientnet-lite-pytorch", "models")
    else:
        require_network(as_block(encoder))


class RunEncoder(ImageEncoder):
    """The vectors that a fitted run's model has of pictures, brought to length one."""

    def __init__(self, encoder: EncoderBlock) -> None:
        run = Run.open(Path(encoder.run))
        run.require_fitted()
        model = build(run.recipe().model).load(run)
        if not isinstance(model, Embedding):
            what = f"a {run.recipe().model['name']} embeds no pictures"
            raise ModelError(what, where=encoder.run, hint="name a run of a tagger, or weights")
        files = json.dumps(manifest(run.weights), sort_keys=True)
        self.name, self._model = str(encoder), model
        self.identity = lambda: hashlib.sha256(files.encode()).hexdigest()

    def embed(self, pictures: Sequence[Picture], *, label: str = "Encoding pictures") -> Vectors:
        """As :meth:`ImageEncoder.embed`; what is remembered is the model's own affair."""
        vectors = self._model.embed(pictures)
        if not len(pictures):
            return _stack([])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _array(vectors: Tensor) -> Vectors:
    return cast("Vectors", vectors.cpu().numpy())


def _stack(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def _identity(network: nn.Module, facts: Sequence[Any]) -> str:
    """A hash of a network's kind, its weights, and how they are read."""
    digest = hashlib.sha256(json.dumps([type(network).__name__, *facts]).encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest(network: nn.Module, facts: Sequence[Any]) -> str:
    """A hash of a network's weights, kind of device and settings, of ``facts``, and of versions.

    Devices and versions round differently, and prepare differently: vectors of two are not mixed.
    """
    config = getattr(network, "config", None)
    settings = None if config is None else config.to_json_string()
    installed = environment()["packages"]
    versions = [installed.get(name) for name in PACKAGES]
    text = json.dumps([_identity(network, facts), settings, _device().type, versions])
    return hashlib.sha256(text.encode()).hexdigest()
