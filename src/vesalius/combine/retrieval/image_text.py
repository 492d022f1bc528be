"""A small head that puts frozen picture and sentence vectors into one space.

Where no image-text model is at hand: two linear maps, learned so that a picture lies nearer to what
was said of it than to what was said of others, and the other way. Source: the symmetric contrastive
loss (InfoNCE) of Y. Zhang et al., ConVIRT, 2020, and A. Radford et al., CLIP, 2021; equal texts of
different cases count as equally right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from vesalius.combine.retrieval.stores import Vectors
from vesalius.combine.retrieval.tensors import mapped_tensors, write_tensors
from vesalius.errors import ModelError, RunError
from vesalius.retrieval import ImageTextBlock

if TYPE_CHECKING:
    from torch import Generator, Tensor

FILE = "image_text.safetensors"
DECAY = 0.05
"""AdamW's weight decay: there are few cases and many weights."""


@dataclass(frozen=True, slots=True)
class ImageTextHead:
    """Centres (d,) and maps (d, shared) of picture vectors and of sentence vectors."""

    picture_centre: Vectors
    picture_map: Vectors
    text_centre: Vectors
    text_map: Vectors

    def pictures(self, vectors: Vectors) -> Vectors:
        """Picture vectors (n, d) as unit vectors (n, shared)."""
        return _unit((vectors - self.picture_centre) @ self.picture_map)

    def texts(self, vectors: Vectors) -> Vectors:
        """Sentence vectors (n, d) as unit vectors (n, shared)."""
        return _unit((vectors - self.text_centre) @ self.text_map)

    def save(self, folder: Path) -> None:
        """Write the head's file."""
        write_tensors(folder / FILE, {name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The head of a folder; RunError if its file is no such thing."""
        tensors = mapped_tensors(folder / FILE, "an image-text head")
        try:
            return cls(**tensors)
        except TypeError as error:
            raise RunError("not an image-text head", where=folder / FILE) from error


def learn(
    pictures: Vectors, texts: Vectors, same: Sequence[str], block: ImageTextBlock
) -> ImageTextHead:
    """The head that a block describes, from pairs: picture i goes with text i.

    ``same`` names what makes two pairs equally right (the text, in small letters): they are not
    pushed apart. ModelError with fewer than two different ones, of which nothing can be learned.
    """
    import torch
    from torch.nn.functional import normalize

    labels = np.unique(np.asarray(same), return_inverse=True)[1]
    if len(labels) < 2 or labels.max() < 1:
        what = "an image-text head needs two cases of which different things were said"
        raise ModelError(what, where="retrieve.image_text")
    centres = pictures.mean(axis=0), texts.mean(axis=0)
    generator = torch.Generator().manual_seed(block.seed)
    maps = [_start(vectors.shape[1], block.dimension, generator) for vectors in (pictures, texts)]
    scale = torch.tensor(1 / block.temperature).log().requires_grad_()
    optimizer = torch.optim.AdamW(
        [{"params": maps, "weight_decay": DECAY}, {"params": [scale], "weight_decay": 0.0}],
        lr=block.learning_rate,
    )
    own, others = torch.from_numpy(pictures - centres[0]), torch.from_numpy(texts - centres[1])
    kinds = torch.from_numpy(labels)
    for _ in range(block.epochs):
        order = torch.randperm(len(kinds), generator=generator)
        for start in range(0, len(order), block.batch):
            part = order[start : start + block.batch]
            ours = normalize(own[part] @ maps[0], dim=1)
            theirs = normalize(others[part] @ maps[1], dim=1)
            loss = _contrast(ours @ theirs.T * scale.exp().clamp(max=100), kinds[part])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    first, second = (one.detach().numpy() for one in maps)
    return ImageTextHead(centres[0], first, centres[1], second)


def _contrast(logits: Tensor, kinds: Tensor) -> Tensor:
    """Cross-entropy both ways (B, B); the target is spread over pairs of the same kind."""
    right = (kinds[:, None] == kinds[None]).float()
    target = right / right.sum(dim=1, keepdim=True)
    texts, pictures = (
        -(target * way.log_softmax(dim=1)).sum(dim=1).mean() for way in (logits, logits.T)
    )
    return (texts + pictures) / 2


def _start(width: int, shared: int, generator: Generator) -> Tensor:
    import torch

    weights: Tensor = torch.randn(width, shared, generator=generator) / width**0.5
    weights.requires_grad_()
    return weights


def _unit(vectors: NDArray[np.floating[Any]]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
