"""Cases by words: sentence vectors of what was said, and a head between them and pictures.

What is searched is what the index keeps of a case: all of it as one text, or its phrases one by
one (``by: finding``), those that compare with an earlier picture left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vesalius.cases.prediction import Neighbour
from vesalius.combine.retrieval.controls import Queries
from vesalius.combine.retrieval.guard import walk
from vesalius.combine.retrieval.image_text import FILE, ImageTextHead, learn
from vesalius.combine.retrieval.index import Index, IndexFacts, Item
from vesalius.combine.retrieval.stores import Vectors
from vesalius.errors import ModelError, RunError
from vesalius.language.phrases import finding_phrases
from vesalius.retrieval import Retrieve
from vesalius.system.files import read_lines, write_atomic

if TYPE_CHECKING:
    from vesalius.models.sentences import SentenceEncoder

FOLDER, TEXTS = "words", "texts.jsonl"
NEAR = 0.1
"""Phrases of a case that are at most so much less similar than its best are told with it."""
Pairs = Sequence[tuple[str, str]]


def texts_of(pairs: Pairs, by: Literal["caption", "finding"]) -> Iterator[str]:
    """What is searched, and told, of a case: a text, or one for each finding.

    An answer to a question stays beside it whole; a caption is cut.
    """
    if by == "caption":
        whole = "\n".join(" ".join(filter(None, pair)) for pair in pairs)
        yield from filter(None, [whole])
        return
    for question, answer in pairs:
        yield from [f"{question} {answer}"] if question else finding_phrases(answer)


def write_words(
    folder: Path,
    items: Sequence[Item],
    pairs: Sequence[Pairs],
    vectors: Vectors,
    settings: Retrieve,
) -> dict[str, Any]:
    """Write the sentence vectors of an index's cases, and the head if settings want one.

    ``items``, ``pairs`` and ``vectors`` are the index's rows; a case of several pictures has its
    texts once, with the first. Returns facts. ModelError if nothing was said of any case.
    """
    rows, cases = [], set[str]()
    for place, (item, own) in enumerate(zip(items, pairs, strict=True)):
        if item.case not in cases:
            cases.add(item.case)
            rows += [(place, text) for text in texts_of(own, settings.by)]
    if not rows:
        what = "nothing was said of any case, so there are no words to search by"
        raise ModelError(what, where="retrieve.sentences")
    encoder = _sentence_encoder(settings.sentences or "")
    sentences = encoder.embed([text for _, text in rows])
    facts = IndexFacts(encoder.name, encoder.identity)
    Index(sentences, [items[place] for place, _ in rows], facts=facts).save(folder / FOLDER)
    lines = [json.dumps({"text": text}, ensure_ascii=False) + "\n" for _, text in rows]
    write_atomic(folder / FOLDER / TEXTS, "".join(lines))
    if settings.image_text is not None:
        shown = np.ascontiguousarray(vectors[[place for place, _ in rows]])
        same = [text.lower() for _, text in rows]
        learn(shown, sentences, same, settings.image_text).save(folder / FOLDER)
    return {"texts": len(rows), "head": settings.image_text is not None}


@dataclass(frozen=True)
class WordSearch:
    """The words of an index's cases: their vectors, the texts, and the head if there is one."""

    pictures: Index
    index: Index
    texts: Sequence[str]
    settings: Retrieve
    head: ImageTextHead | None = None

    @classmethod
    def load(cls, folder: Path, pictures: Index, settings: Retrieve) -> WordSearch | None:
        """Those of an index's folder; None where cases are searched by pictures only."""
        inside = folder / FOLDER
        if not inside.is_dir():
            return None
        index, path = Index.load(inside), inside / TEXTS
        try:
            texts = [str(row["text"]) for _, row in read_lines(path)]
        except KeyError as error:
            raise RunError(f"not the texts of an index: {error}", where=path) from error
        if len(texts) != len(index):
            raise RunError(f"tells of {len(texts)} texts, the index of {len(index)}", where=path)
        head = ImageTextHead.load(inside) if (inside / FILE).exists() else None
        return cls(pictures, index, texts, settings, head)

    def texts_like(self, texts: Sequence[str], k: int) -> list[tuple[Neighbour, ...]]:
        """For each text the cases of which the like was said."""
        return self._by_text(self.index, _anyone(self.sentences.embed(texts)), k)

    def pictures_like(self, texts: Sequence[str], k: int) -> list[tuple[Neighbour, ...]]:
        """For each text the cases whose pictures lie nearest to it; ModelError without a head."""
        queries = _anyone(self._required().texts(self.sentences.embed(texts)))
        return self._search(self._shared_pictures, queries, k, self._text_of_case)

    def texts_of_pictures(self, pictures: Queries, k: int) -> list[tuple[Neighbour, ...]]:
        """For each picture the cases whose words lie nearest to it, but of none it excludes."""
        vectors = self._required().pictures(pictures.vectors)
        return self._by_text(self._shared_texts, replace(pictures, vectors=vectors), k)

    def similarities(self, vectors: Vectors, texts: Sequence[str]) -> Vectors:
        """How well each text (m) goes with each picture's vector (n, d): cosines (n, m)."""
        head = self._required()
        cosines: Vectors = head.pictures(vectors) @ head.texts(self.sentences.embed(texts)).T
        return cosines

    @cached_property
    def sentences(self) -> SentenceEncoder:
        """The encoder of the words; ModelError if its weights are others than the index's."""
        encoder = _sentence_encoder(self.settings.sentences or self.index.facts.encoder)
        self.index.require(encoder.name, encoder.identity)
        return encoder

    @cached_property
    def _shared_pictures(self) -> Index:
        return Index(self._required().pictures(self.pictures.vectors), self.pictures.items)

    @cached_property
    def _shared_texts(self) -> Index:
        return Index(self._required().texts(self.index.vectors), self.index.items)

    @cached_property
    def _by_case(self) -> Mapping[str, str]:
        told: dict[str, list[str]] = {}
        for item, text in zip(self.index.items, self.texts, strict=True):
            told.setdefault(item.case, []).append(text)
        return {case: "; ".join(texts) for case, texts in told.items()}

    def _text_of_case(self, at: int) -> str:
        return self._by_case.get(self.pictures.items[at].case, "")

    def _by_text(self, index: Index, queries: Queries, k: int) -> list[tuple[Neighbour, ...]]:
        return self._search(index, queries, k, lambda at: self.texts[at])

    def _search(
        self, index: Index, queries: Queries, k: int, text_at: Any
    ) -> list[tuple[Neighbour, ...]]:
        def choose(_: int, hits: Any) -> tuple[tuple[Neighbour, ...], bool]:
            nearest: dict[str, Neighbour] = {}
            for at, cosine in hits:
                item = index.items[at]
                known = nearest.get(item.case)
                if known is None and len(nearest) == k:
                    return tuple(nearest.values()), True
                text = text_at(at)
                if known is None:
                    nearest[item.case] = Neighbour(item.case, cosine, item.key, text or None)
                elif known.similarity - cosine <= NEAR and text not in (known.text or ""):
                    more = "; ".join(filter(None, (known.text, text)))
                    nearest[item.case] = Neighbour(item.case, known.similarity, known.picture, more)
            return tuple(nearest.values()), False

        return walk(index, queries, 4 * k, choose)

    def _required(self) -> ImageTextHead:
        if self.head is None:
            what = "pictures and words have no space in common"
            hint = "give retrieve.image_text in the recipe and build the index again"
            raise ModelError(what, where="retrieve", hint=hint)
        return self.head


def _anyone(vectors: Vectors) -> Queries:
    """Queries of words, which are no patient's: nothing is left out."""
    nothing = [""] * len(vectors)
    return Queries(vectors, nothing, nothing)


def _sentence_encoder(name: str) -> SentenceEncoder:
    from vesalius.models.sentences import SentenceEncoder

    return SentenceEncoder(name)
