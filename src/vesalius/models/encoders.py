"""Frozen encoders: pictures and sentences become unit vectors. Nothing here is ever trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from vesalius.cases.picture import Picture
from vesalius.errors import MissingExtra, ModelError
from vesalius.models.feature_cache import Content, Vectors, shared_features
from vesalius.run import environment
from vesalius.system import packaged

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
REMEMBERED = 4096
"""Vectors an encoder keeps for pictures or texts it has seen: 20 MB at 1280 numbers each."""
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


class Memory:
    """Vectors by content: the last 4,096 in this process, the rest where the context shares them.

    ``digest`` names the encoder with all that decides what it gives.
    """

    def __init__(self, digest: Callable[[], str]) -> None:
        self._digest, self._vectors = digest, dict[Content, Vectors]()

    def __len__(self) -> int:
        return len(self._vectors)

    def read(self, contents: Sequence[Content]) -> dict[Content, Vectors]:
        """Those of the contents that were encoded before."""
        there = {one: self._vectors[one] for one in contents if one in self._vectors}
        absent = [one for one in dict.fromkeys(contents) if one not in there]
        shared = shared_features()
        if shared is not None and absent:
            there |= shared.read(self._digest(), absent)
        self._remember(there)
        return there

    def write(self, vectors: Mapping[Content, Vectors]) -> None:
        """Add what was encoded."""
        shared = shared_features()
        if shared is not None:
            shared.write(self._digest(), vectors)
        self._remember(vectors)

    def _remember(self, vectors: Mapping[Content, Vectors]) -> None:
        for content, vector in vectors.items():
            self._vectors.pop(content, None)
            self._vectors[content] = vector
        for content in list(self._vectors)[: max(0, len(self._vectors) - REMEMBERED)]:
            del self._vectors[content]  # a dict keeps its order, so the longest unused goes first


class ImageEncoder:
    """Pictures to pooled unit vectors by a frozen network; each distinct picture is encoded once.

    ``prepare`` turns a decoded picture into pixels (3, height, width), ``pool`` a batch of those
    into (B, d); ``digest`` names both. Vectors are remembered by the pictures' bytes, frame and
    window, so a changed picture under an old key is never mistaken for the old one: in this
    process, and, while a step over data sets runs, for all runs on this machine
    (:mod:`vesalius.models.feature_cache`).
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[Image.Image], Tensor],
        pool: Callable[[Tensor], Tensor],
        *,
        device: torch.device,
        digest: Callable[[], str],
        batch: int = 16,
    ) -> None:
        self.name = name
        self._prepare, self._pool = prepare, pool
        self._device, self._batch = device, batch
        self.memory = Memory(digest)

    def embed(self, pictures: Sequence[Picture], *, label: str = "Encoding pictures") -> Vectors:
        """L2-normalised vectors, float32 (n, d), in order; (0, 0) for none.

        At most ``batch`` pictures are decoded at a time. ImageError names the picture that cannot
        be read. Above 200 new pictures a progress bar called ``label`` goes to standard error.
        """
        contents = {one: Content.of_picture(one) for one in dict.fromkeys(pictures)}
        encoded = self.memory.read(list(contents.values()))
        fresh: dict[Content, Picture] = {}
        for picture, content in contents.items():
            if content not in encoded:
                fresh.setdefault(content, picture)
        starts = range(0, len(fresh), self._batch)
        bar = Console(stderr=True)
        todo = list(fresh.items())
        for at in track(starts, label, console=bar, transient=True, disable=len(todo) <= PATIENCE):
            some = todo[at : at + self._batch]
            vectors = self._encode([picture for _, picture in some])
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

    @torch.inference_mode()
    def _encode(self, pictures: Sequence[Picture]) -> Vectors:
        pixels = torch.stack([self._prepare(picture.pixels()) for picture in pictures])
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
        self._network = _pretrained(folder).to(self._device)
        self._tokens = AutoTokenizer.from_pretrained(folder)
        self.memory = Memory(lambda: self.digest)

    @cached_property
    def digest(self) -> str:
        """Of weights, tokenizer and the number of tokens read."""
        tokenizer = getattr(self._tokens, "backend_tokenizer", None)
        facts = [WORDS, tokenizer.to_str() if tokenizer else repr(self._tokens.get_vocab())]
        return _digest(self._network, facts)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """L2-normalised vectors, float32 (n, d), in order; (0, 0) for none. Equal texts once."""
        contents = {text: Content.of_text(text) for text in texts}
        encoded = self.memory.read(list(contents.values()))
        todo = [text for text, content in contents.items() if content not in encoded]
        todo.sort(key=lambda text: (len(text), text))  # so that a batch pads little
        new: dict[Content, Vectors] = {}
        for at in range(0, len(todo), self._batch):
            some = todo[at : at + self._batch]
            new |= zip((contents[text] for text in some), self._encode(some), strict=True)
        if new:
            self.memory.write(new)
        encoded |= new
        return _stack([encoded[contents[text]] for text in texts])

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> Vectors:
        tokens = self._tokens(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=WORDS
        ).to(self._device)
        states = self._network(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
        return _array(nn.functional.normalize(mean, dim=1))


@dataclass(frozen=True)
class Vision:
    """A vision network, how a picture is prepared for it, and how its output is pooled to (B, d).

    ``settings``: what of its preparation goes into the digest of its encoder.
    """

    name: str
    network: nn.Module
    prepare: Callable[[Image.Image], Tensor]
    pool: Callable[[Tensor], Tensor]
    settings: Sequence[Any]

    def encoder(self) -> ImageEncoder:
        """The network as it is now, frozen, on this machine's device."""
        self.network.to(_device()).eval().requires_grad_(requires_grad=False)
        digest = cache(lambda: _digest(self.network, self.settings))
        return ImageEncoder(self.name, self.prepare, self.pool, device=_device(), digest=digest)


def vision(name: str = "efficientnet_lite0") -> Vision:
    """The network of that name with its weights, a new one at each call; see `image_encoder`."""
    if name == "efficientnet_lite0":
        network = efficientnet_lite0_features()
        grid = cast("FeatureGrid", network)
        settings = [name, SIZE, MEAN, STD]
        return Vision(
            name, network, to_tensor, lambda x: grid.extract_features(x).mean((2, 3)), settings
        )
    pretrained = _pretrained(name)
    processor = AutoImageProcessor.from_pretrained(name)

    def prepare(image: Image.Image) -> Tensor:
        pixels: Tensor = processor(images=image, return_tensors="pt")["pixel_values"][0]
        return pixels

    settings = [processor.to_json_string()]
    return Vision(name, pretrained, prepare, lambda x: _pooled(pretrained, x), settings)


@cache
def image_encoder(name: str = "efficientnet_lite0") -> ImageEncoder:
    """The frozen encoder of that name: the packaged EfficientNet-lite0, or a transformers one.

    One a process: what one model has had encoded, the next need not encode again.
    EfficientNet-lite0 gives 1280 numbers, the mean over its grid. Any other ``name`` is a folder
    or hub name of a transformers vision model in safetensors, whose own processor prepares the
    picture; its image or pooler output is taken, else the mean of its states.
    """
    return vision(name).encoder()


def require_encoder(name: str) -> None:
    """Raise what :func:`image_encoder` would, without the time and memory of loading weights.

    A hub name costs the download of its configuration; a missing weight file shows only later.
    """
    if name == "efficientnet_lite0":
        packaged.efficientnet_lite0()
        if find_spec("efficientnet_lite_pytorch") is None:
            raise MissingExtra("efficientnet-lite-pytorch", "models")
        return
    try:
        AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise _no_such(name, error) from error


def _pooled(network: Any, pixels: Tensor) -> Tensor:
    two_towered = hasattr(network, "get_image_features")  # CLIP, SigLIP: text is the other tower
    output = network.get_image_features(pixels) if two_towered else network(pixel_values=pixels)
    if isinstance(output, Tensor):
        return output
    pooled = getattr(output, "pooler_output", None)
    states: Tensor = output.last_hidden_state if pooled is None else pooled
    if states.dim() == 4:  # convolutional: (B, channels, rows, columns)
        return states.mean((2, 3))
    return states.mean(1) if states.dim() == 3 else states


def _pretrained(name: str) -> Any:
    """A transformers network, frozen, from safetensors alone: pickled weights can run code."""
    try:
        network = AutoModel.from_pretrained(name, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise _no_such(name, error) from error
    return network.eval().requires_grad_(requires_grad=False)


def _no_such(name: str, error: Exception) -> ModelError:
    reason = str(error).split("\n", maxsplit=1)[0]
    here = "a folder with config.json and model.safetensors, or a hub name"
    return ModelError(f"no such encoder: {reason}", where=name, hint=here)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _array(vectors: Tensor) -> Vectors:
    return cast("Vectors", vectors.cpu().numpy())


def _stack(vectors: Sequence[Vectors]) -> Vectors:
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)


def _digest(network: nn.Module, facts: Sequence[Any]) -> str:
    """A hash of a network's weights, kind of device and settings, of ``facts``, and of versions.

    Devices and versions round differently, and prepare differently: vectors of two are not mixed.
    """
    config = getattr(network, "config", None)
    settings = None if config is None else config.to_json_string()
    installed = environment()["packages"]
    versions = [installed.get(name) for name in PACKAGES]
    text = json.dumps([type(network).__name__, settings, _device().type, versions, *facts])
    digest = hashlib.sha256(text.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()
