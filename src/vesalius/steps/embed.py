"""Embed: vectors of a data set's pictures and words, made ahead of every fit and index.

One process puts them into the machine's feature cache; many put them into shards, from which one
machine's cache takes them. What they are of is told by hashes of content.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from hashlib import sha256

import numpy as np

from vesalius.cases.case import Question
from vesalius.cases.picture import Picture
from vesalius.data.datasets import Dataset
from vesalius.errors import RecipeError, RunError
from vesalius.models.encoders import ImageEncoder, image_encoder
from vesalius.models.feature_cache import (
    FEATURES_MB,
    Content,
    FeatureCache,
    Vectors,
    sharing,
    user_cache,
)
from vesalius.models.sentences import SentenceEncoder
from vesalius.steps.request import chunks
from vesalius.system.pace import progress, work_off
from vesalius.system.places import place
from vesalius.system.shards import Pieces, Row, Shards, shard_size

UNIT = 64
"""Pictures or texts that one worker encodes together."""
OVERHEAD = 900
"""Bytes of the cache's file for a vector, beside its numbers: keys, index, the rest of a page."""


class Embedding:
    """The vectors of a data set by frozen encoders: of its pictures, and of its words if asked.

    ``images`` names an image encoder; ``sentences`` a sentence encoder, for questions, answers and
    captions.
    """

    def __init__(self, dataset: Dataset, images: str, sentences: str | None = None) -> None:
        self._dataset, self._images, self._sentences = dataset, images, sentences

    def items(self) -> Iterator[Picture | str]:
        """Pictures of all splits, in order, each with the texts of its case that are new."""
        seen: set[str] = set()
        for split in self._dataset.splits():
            for case in self._dataset.cases(split):
                yield from case.pictures
                if self._sentences is not None:
                    own = (case.caption, *_words(case.questions))
                    fresh = dict.fromkeys(text for text in own if text and text not in seen)
                    seen.update(fresh)
                    yield from fresh

    def vectors(self, items: Sequence[Picture | str]) -> dict[Content, Vectors]:
        """Unit vectors (d,) of pictures and texts, by content; ImageError for one unreadable."""
        pictures = [item for item in items if not isinstance(item, str)]
        texts = [item for item in items if isinstance(item, str)]
        contents = map(Content.of_picture, pictures)
        vectors = dict(zip(contents, self._encoder.embed(pictures), strict=True))
        if texts and self._texts is not None:
            vectors |= zip(map(Content.of_text, texts), self._texts.embed(texts), strict=True)
        return vectors

    def store(self, vectors: Mapping[Content, Vectors], cache: FeatureCache) -> None:
        """Put vectors into the cache; RunError where it does not take them."""
        for digest, some in self._by_encoder(vectors):
            cache.write(digest, {content: vectors[content] for content in some})
        self.require(vectors, cache)

    def require(self, contents: Iterable[Content], cache: FeatureCache) -> None:
        """RunError where the cache does not hold the vectors of all these."""
        for digest, some in self._by_encoder(contents):
            if cache.read(digest, some).keys() != set(some):
                hint = f"see the warning before this, or set {FEATURES_MB} to more"
                raise RunError("does not hold all", where="the feature cache", hint=hint)

    def _by_encoder(self, contents: Iterable[Content]) -> Iterator[tuple[str, list[Content]]]:
        every = list(contents)
        for digest, is_text in zip(self.digests().values(), (False, True), strict=True):
            if digest is not None:
                yield digest, [content for content in every if content.is_text == is_text]

    def digests(self) -> dict[str, str | None]:
        """Of both encoders: weights, settings, device and versions."""
        texts = self._texts.memory.digest() if self._texts else None
        return {"encoder": self._encoder.memory.digest(), "sentences": texts}

    @property
    def _encoder(self) -> ImageEncoder:
        return image_encoder(self._images)

    @cached_property
    def _texts(self) -> SentenceEncoder | None:
        return None if self._sentences is None else SentenceEncoder(self._sentences)


def embed(embedding: Embedding) -> int:
    """Put the vectors into this machine's cache; how many pictures and texts they are of.

    What is there already is not encoded again. RecipeError where the cache is off or too small.
    """
    count, cache = 0, _cache()
    first: Mapping[Content, Vectors] = {}
    with sharing(cache), progress("encoding", "done") as bar:
        task = bar.add_task("", done=0)
        for some in chunks(embedding.items(), UNIT):
            vectors = embedding.vectors(some)
            if not count:
                first = vectors
                _require_room(cache, sum(1 for _ in embedding.items()), vectors)
            count += len(some)
            bar.update(task, done=count)
    embedding.require(first, cache)  # the first to be dropped where others had no room
    return count


class SharedEmbedding:
    """The same vectors in shards that any number of processes make, and one machine takes.

    ``at`` is a folder or fsspec URL. RunError where it holds those of other contents, or of other
    encoders: also the device and versions that compute must be the same.
    """

    what = "encoding"

    def __init__(self, embedding: Embedding, at: str) -> None:
        self._embedding = embedding
        digest, total = sha256(), 0
        for item in embedding.items():
            digest.update((item if isinstance(item, str) else item.key).encode() + b"\0")
            total += 1
        size = shard_size(total, UNIT)
        facts = {
            "work": "embed",
            **embedding.digests(),
            "items": total,
            "contents": digest.hexdigest(),
            "size": size,
            "shards": -(-total // size),
        }
        self.shards = Shards(place(at), facts)

    def left(self) -> int:
        """How many shards have no result."""
        return self.shards.left()

    def work(self) -> int:
        """Encode until all is, by this process or others; how many items it did."""
        pieces = Pieces(self._embedding.items, self.shards.size)
        with sharing(None):  # the vectors are for whoever merges, not for this machine
            return work_off(self.what, self.shards, pieces, self._rows, total=self.shards.items)

    def merge(self) -> int:
        """Put all vectors into this machine's cache; how many items they are of.

        RunError where a shard is missing or the cache does not take them; RecipeError where it is
        off or too small.
        """
        self.shards.require_whole()
        cache = _cache()
        first: Mapping[Content, Vectors] = {}
        for number in range(self.shards.number):
            vectors = dict(map(_from_row, self.shards.rows(number)))
            if number == 0:
                first = vectors
                _require_room(cache, self.shards.items, vectors)
            self._embedding.store(vectors, cache)
        self._embedding.require(first, cache)  # the first to be dropped where others had no room
        return self.shards.items

    def _rows(self, items: list[Picture | str]) -> Iterator[list[Row]]:
        for some in chunks(iter(items), UNIT):
            yield [_row(*pair) for pair in self._embedding.vectors(some).items()]


def shared_embedding(
    opening: Callable[[], Dataset], at: str, images: str, sentences: str | None = None
) -> SharedEmbedding:
    """The job of the data set that ``opening()`` gives."""
    return SharedEmbedding(Embedding(opening(), images, sentences), at)


def _words(questions: Iterable[Question]) -> Iterator[str | None]:
    for question in questions:
        yield question.text
        yield from (answer.text for answer in question.answers)


def _row(content: Content, vector: Vectors) -> Row:
    return asdict(content) | {"vector": b64encode(vector.astype("<f4").tobytes()).decode()}


def _from_row(row: Row) -> tuple[Content, Vectors]:
    vector = np.frombuffer(b64decode(row.pop("vector")), "<f4").astype(np.float32)
    return Content(**row), vector


def _cache() -> FeatureCache:
    cache = user_cache()
    if cache is None:
        hint = "set it to as many MiB as the vectors take"
        raise RecipeError("the feature cache is off", where=FEATURES_MB, hint=hint)
    return cache


def _require_room(cache: FeatureCache, items: int, vectors: Mapping[Content, Vectors]) -> None:
    """RecipeError where so many like these would not fit: the cache drops some for others."""
    width = max(map(len, vectors.values()), default=0)
    need = items * (4 * width + OVERHEAD)
    if need > cache.limit:
        hint = f"set it to {-(-need // 2**20)} at least"
        what = f"{items:,} vectors of {width} numbers do not fit into {cache.limit // 2**20} MiB"
        raise RecipeError(what, where=FEATURES_MB, hint=hint)
