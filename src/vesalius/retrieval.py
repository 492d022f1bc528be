"""How similar cases are searched: the ``retrieve`` block of a recipe, and what nests in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from vesalius.settings import Frozen


def _is(default: Any) -> Callable[[Any], bool]:
    """Runs that are older than a key keep their digest: at its default it is not written."""
    return lambda value: bool(value == default)


class EncoderBlock(Frozen):
    """An image encoder that is told by more than a name."""

    weights: str = ""
    """A folder or hub name: a transformers vision model in safetensors, or an open_clip model
    (``open_clip_config.json`` beside safetensors, as BiomedCLIP comes)."""
    run: str = ""
    """Instead of weights, the folder of a run whose model embeds pictures."""
    layer: int | None = None
    """Which hidden layer is read, of a transformers model: 0 is what enters the first block, 1
    what leaves it, -1 the last. None: the model's own pooled output."""
    pool: Literal["mean", "cls"] = "mean"
    """How the tokens of that layer become one vector: their mean, or the first token."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if bool(self.weights) == bool(self.run):
            raise ValueError("an encoder has either weights or a run")
        if self.run and self.layer is not None:
            raise ValueError("a layer is read from weights, not from a run")
        return self

    @property
    def plain(self) -> Encoder:
        """The name alone, where a block says no more than that."""
        return self.weights if self.weights and self.layer is None else self

    def __str__(self) -> str:
        source = self.weights or f"run {self.run}"
        return source if self.layer is None else f"{source} layer {self.layer} {self.pool}"


Encoder = str | EncoderBlock
"""A name (``efficientnet_lite0``, a folder, a hub name), or a block that says more."""


def as_block(encoder: Encoder) -> EncoderBlock:
    """The block that a name stands for."""
    return EncoderBlock(weights=encoder) if isinstance(encoder, str) else encoder


class IndexBlock(Frozen):
    """Whether every vector is compared, or only those that are likely to be near."""

    kind: Literal["auto", "flat", "ivf", "hnsw"] = "auto"
    """``flat`` compares all and is exact. ``ivf`` looks into the nearest clusters; ``hnsw`` walks a
    graph of neighbours, builds long and lies in memory whole. ``auto`` is flat up to 200,000
    pictures, then ivf."""
    recall: float = Field(default=0.95, gt=0.0, le=1.0)
    """Least share of the ten nearest that ``ivf`` and ``hnsw`` must find: the search is widened
    until a sample has it. What was measured is noted in the index's ``about.json``."""


class ImageTextBlock(Frozen):
    """A small head that puts frozen picture and sentence vectors into one space."""

    dimension: int = Field(default=128, ge=2, le=1024)
    """Numbers a shared vector has."""
    epochs: int = Field(default=100, ge=1, le=10000)
    """Passes over the training cases."""
    batch: int = Field(default=256, ge=2, le=65536)
    """Pairs that are told apart from each other at a time."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """AdamW's."""
    temperature: float = Field(default=0.07, gt=0)
    """What similarities are divided by at the start; it is learned."""
    seed: int = 0
    """Decides initial weights and batches."""


class Search(Frozen):
    """How training cases are looked for that are like a picture."""

    encoder: Encoder = "efficientnet_lite0"
    """The frozen image encoder: the packaged one, a folder or hub name of a transformers or
    open_clip one, or a block ``{weights: FOLDER, layer: 8, pool: mean}`` or ``{run: FOLDER}``."""
    neighbours: int = Field(default=3, ge=1, le=100)
    """How many cases are told, where a caller asks for no other number."""
    threshold: float = Field(default=0.6, ge=-1.0, le=1.0)
    """Least cosine similarity of two pictures for the one to be told of the other. In VQA-Med 2019
    95 of 100 random pairs are below .62, and 95 of 100 validation pictures have one above .63."""
    drop: float | None = Field(default=None, gt=0.0, le=2.0, exclude_if=_is(None))
    """Adaptive: the neighbours end where similarity falls by more than this from one to the next,
    so that a picture with two close cases has two. None: ``neighbours`` of them."""
    by: Literal["caption", "finding"] = Field(default="caption", exclude_if=_is("caption"))
    """What is told of a case, and searched by words: all that was said, or its phrases one by one,
    those that compare with an earlier picture ("unchanged") left out."""
    sentences: str | None = Field(default=None, exclude_if=_is(None))
    """A sentence encoder (``minilm``, or a folder of a transformers one), by which cases can be
    searched by words. None: by pictures only."""
    image_text: ImageTextBlock | None = Field(default=None, exclude_if=_is(None))
    """Learn a head with which pictures are searched by words and words by pictures; it needs
    ``sentences``."""
    index: IndexBlock = Field(default=IndexBlock(), exclude_if=_is(IndexBlock()))
    """Exact or approximate search."""
    store: Literal["faiss", "lancedb"] = Field(default="faiss", exclude_if=_is("faiss"))
    """Where vectors lie: in a file that is mapped, or in a LanceDB folder (extra ``lancedb``)."""

    @model_validator(mode="after")
    def _head_needs_words(self) -> Self:
        if self.image_text is not None and self.sentences is None:
            raise ValueError("image_text needs sentences, e.g. minilm")
        return self


class Retrieve(Search):
    """Similar cases: an index over the training pictures, written when the fit is done.

    It travels with the run and holds case and group ids and what was said of every training case.
    """

    thumbnails: int = Field(default=0, ge=0, le=1024)
    """Longer side, in pixels, of the small pictures that are kept; 0: none. Pictures of training
    patients then travel with the run."""
    whole: bool = Field(default=False, exclude_if=_is(False))
    """Keep all that was said of a case, word by word; else the first words of eight questions and
    answers."""
