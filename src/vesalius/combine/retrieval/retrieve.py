"""Similar cases from a run's index: never the item asked about, nor its patient."""

from __future__ import annotations

import copy
import logging
import mmap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Self

from vesalius.cases.likeness import NEIGHBOURS, Packed
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour
from vesalius.combine.retrieval.controls import Queries, under
from vesalius.combine.retrieval.guard import SAME, Guard, unguarded, walk
from vesalius.combine.retrieval.index import Excluded, Index
from vesalius.combine.retrieval.indexing import ABOUT, CASES, THUMBNAILS
from vesalius.combine.retrieval.stores import Vectors
from vesalius.combine.retrieval.thumbnails import seen
from vesalius.combine.retrieval.words import WordSearch, texts_of
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Control
from vesalius.models.capabilities import require_control
from vesalius.recipe import Retrieve
from vesalius.run import Run
from vesalius.settings import validated
from vesalius.system.files import read_json, read_lines
from vesalius.system.manifest import altered, missing

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from vesalius.models.encoders import ImageEncoder


@dataclass(frozen=True, slots=True)
class IndexedCase:
    """What is kept of an indexed picture's case: what was said, and where its thumbnail lies."""

    text: str
    thumbnail: tuple[int, int] | None
    pairs: tuple[tuple[str, str], ...] = ()
    """Questions and answers; the question of a caption, which nobody asked, is empty."""


class Retriever:
    """The training cases whose pictures are most like a given one, with what was said of them.

    The encoder is loaded with the first picture. Safe to share among threads.
    """

    def __init__(
        self,
        index: Index,
        cases: Sequence[IndexedCase],
        settings: Retrieve,
        *,
        facts: Mapping[str, Any] | None = None,
        thumbnails: bytes | mmap.mmap | None = None,
        words: WordSearch | None = None,
    ) -> None:
        self.settings = settings
        self.facts = dict(facts or {})
        self._index, self._details, self._thumbnails = index, tuple(cases), thumbnails
        self._at = {item.key: at for at, item in reversed(list(enumerate(index.items)))}
        self._places = {(item.case, item.key): at for at, item in enumerate(index.items)}
        self._words = words
        self._encoding = Lock()
        self._control: Control | None = None
        self._required = False

    def __len__(self) -> int:
        return len(self._index)

    @classmethod
    def load(cls, run: Run) -> Self | None:
        """The retriever of a run; None if it has no index. RunError names what is wrong with it.

        Every file is held against the sizes and hashes noted when the index was made.
        """
        folder = run.index
        if not (folder / ABOUT).exists():
            return None
        facts, settings = _about(folder)
        index = Index.load(folder)
        cases = _read_cases(folder / CASES, settings.by)
        if len(cases) != len(index):
            what = f"tells of {len(cases)} pictures, the index of {len(index)}"
            raise RunError(what, where=folder / CASES)
        thumbnails = _mapped(folder / THUMBNAILS) if settings.thumbnails else None
        words = WordSearch.load(folder, index, settings)
        if index.structures is None:
            _say_unstructured(str(folder))
        return cls(index, cases, settings, facts=facts, thumbnails=thumbnails, words=words)

    def neighbours(
        self,
        pictures: Sequence[Picture],
        k: int | None = None,
        *,
        exclude_groups: Sequence[Excluded] | None = None,
        exclude_keys: Sequence[Excluded] | None = None,
        others: bool = False,
    ) -> list[tuple[Neighbour, ...]]:
        """For each picture up to ``k`` distinct cases, the most similar first, by cosine.

        A case is told once, by its nearest picture. Left out: the groups and picture keys that
        are named for each picture (an empty string names none), and cases below the threshold of
        the recipe. A training picture that comes back, re-encoded without loss, under no known
        key, is told (see :func:`same_picture`), because to have been trained on is worth knowing;
        with ``others`` it is left out, and any near-duplicate of it, and with them all of their
        patient (:mod:`vesalius.combine.retrieval.guard`). ImageError names a picture
        that cannot be read, ModelError an impossible ``k`` or an encoder that is not here.
        """
        if not pictures:
            return []
        wanted = self._wanted(k)
        guarded = others and self._control != "unguarded"
        vectors, structures = self._see(pictures, guarded=guarded)
        nothing = [""] * len(pictures)
        queries = Queries(vectors, exclude_groups or nothing, exclude_keys or nothing)
        return walk(
            self._index,
            under(self._control, self._index, queries),
            wanted + NEIGHBOURS,
            lambda _, hits: self._cases(hits, wanted),
            allowed=Guard(self._index, structures).allowed if guarded else unguarded,
        )

    def by_words(
        self, texts: Sequence[str], k: int | None = None, *, pictures: bool = False
    ) -> list[tuple[Neighbour, ...]]:
        """For each text up to ``k`` cases of which the like was said, or that look like it.

        Similarity is the cosine of two sentence vectors; with ``pictures`` that of a sentence and
        a picture in the space of the recipe's ``image_text`` head. No threshold is applied.
        ModelError where the index was made without them.
        """
        wanted = self._wanted(k)
        with self._encoding:
            search = self._with_words()
            like = search.pictures_like if pictures else search.texts_like
            return like(texts, wanted) if texts else []

    def words_for(
        self,
        pictures: Sequence[Picture],
        k: int | None = None,
        *,
        exclude_groups: Sequence[Excluded] | None = None,
        exclude_keys: Sequence[Excluded] | None = None,
    ) -> list[tuple[Neighbour, ...]]:
        """For each picture up to ``k`` cases whose words lie nearest to it, by the head.

        What is excluded is as in :meth:`neighbours`.
        """
        wanted, nothing = self._wanted(k), [""] * len(pictures)
        with self._encoding:
            if not pictures:
                return []
            vectors = self._encoder().embed(pictures)
            queries = Queries(vectors, exclude_groups or nothing, exclude_keys or nothing)
            return self._with_words().texts_of_pictures(queries, wanted)

    def similarities(self, pictures: Sequence[Picture], texts: Sequence[str]) -> Vectors:
        """How well each text (m) goes with each picture (n), by the head: cosines (n, m)."""
        with self._encoding:
            return self._with_words().similarities(self._encoder().embed(pictures), texts)

    def controlled(self, control: str) -> Self:
        """The same retriever under a control of its neighbours, the index and encoder shared.

        ``unguarded``: the groups that callers name and ``others`` leave nothing out, the picture
        keys still do. ``swapped``: each picture gets the neighbours of an indexed case of another
        patient (:func:`vesalius.combine.retrieval.controls.under`). UnknownName for any other.
        """
        again = copy.copy(self)
        again._control = require_control(control)
        return again

    def replaced(self, **settings: Any) -> Self:
        """The same retriever with other settings of the search: ``neighbours``, ``threshold``,
        ``drop``.
        """
        again = copy.copy(self)
        again.settings = self.settings.model_copy(update=settings)
        return again

    def thumbnail(self, picture: str) -> bytes | None:
        """The small PNG of an indexed picture's key; None if there is none."""
        at = self._at.get(picture)
        place = None if at is None else self._details[at].thumbnail
        if place is None or self._thumbnails is None:
            return None
        return bytes(self._thumbnails[place[0] : place[1]])

    def pairs(self, neighbour: Neighbour) -> tuple[tuple[str, str], ...]:
        """The (question, answer) pairs of a neighbour's case; whole where the settings say so."""
        return self._details[self._places[neighbour.case, neighbour.picture or ""]].pairs

    def _cases(
        self, hits: Iterable[tuple[int, float]], wanted: int
    ) -> tuple[tuple[Neighbour, ...], bool]:
        """The cases told of the hits, and whether no further hit could be told."""
        nearest: dict[str, Neighbour] = {}
        threshold, drop, last = self.settings.threshold, self.settings.drop, None
        for at, similarity in hits:
            fell = drop is not None and last is not None and last - similarity > drop
            if len(nearest) == wanted or similarity < threshold or fell:
                return tuple(nearest.values()), True
            last = similarity
            item = self._index.items[at]
            if item.case not in nearest:
                text = self._details[at].text or None
                nearest[item.case] = Neighbour(item.case, similarity, item.key, text)
        return tuple(nearest.values()), len(nearest) == wanted

    def _see(self, pictures: Sequence[Picture], *, guarded: bool) -> tuple[Vectors, Packed | None]:
        """The pictures' vectors, and their structures where the guard compares them."""
        with self._encoding:
            encoder = self._encoder()
            if guarded and self._index.structures is not None:
                return seen(encoder, [[picture] for picture in pictures])
            return encoder.embed(pictures), None

    def _wanted(self, k: int | None) -> int:
        wanted = self.settings.neighbours if k is None else k
        if wanted < 1:
            raise ModelError(f"at least one neighbour must be asked for, not {wanted}")
        return wanted

    def _with_words(self) -> WordSearch:
        if self._words is None:
            hint = "give retrieve.sentences in the recipe and build the index again"
            raise ModelError("cases are not searched by words", where="retrieve", hint=hint)
        return self._words

    def _encoder(self) -> ImageEncoder:
        from vesalius.models.encoders import image_encoder

        encoder = image_encoder(self.settings.encoder)
        if not self._required:
            self._index.require(encoder.name, encoder.identity())
            self._required = True
        return encoder


def same_picture(neighbour: Neighbour) -> bool:
    """Whether the neighbour is the very picture that was asked about: it was trained on."""
    return neighbour.similarity >= SAME


@cache
def _say_unstructured(folder: str) -> None:
    """Say it once a process."""
    what = "an index of before structures were kept: near-duplicates are known by their cosine only"
    log.warning("%s: %s; vesalius retrieve --build makes it anew", folder, what)


def _about(folder: Path) -> tuple[dict[str, Any], Retrieve]:
    path = folder / ABOUT
    facts = read_json(path)
    hint = "build it again: vesalius retrieve --build --run RUN"
    try:
        files = dict(facts.pop("files"))
        settings = validated(Retrieve, facts["settings"], where=path)
        torn = missing(folder, files)
        changed = None if torn else altered(folder, files)
    except (AttributeError, KeyError, TypeError, ValueError, RecipeError) as error:
        raise RunError(f"not what an index says of itself: {error}", where=path) from error
    if torn or changed:
        what = torn or f"{changed} is not what was written"
        raise RunError(f"the index {what}", where=folder, hint=hint)
    return facts, settings


def _read_cases(path: Path, by: Literal["caption", "finding"]) -> list[IndexedCase]:
    cases = []
    for number, row in read_lines(path):
        try:
            pairs = tuple((str(q), str(a)) for q, a in row["said"])
            lines = list(filter(None, ["; ".join(texts_of(pairs, by))]))
            more, place = int(row.get("more", 0)), row.get("thumbnail")
            start_end = None if place is None else (int(place[0]), int(place[1]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise RunError(f"line {number} tells of no picture: {error}", where=path) from error
        lines += [f"({more} more)"] if more else []
        cases.append(IndexedCase("\n".join(lines), start_end, pairs))
    return cases


def _mapped(path: Path) -> mmap.mmap:
    """The file as memory that stays readable when the index is replaced."""
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise RunError(f"no thumbnails: {error}", where=path) from error
