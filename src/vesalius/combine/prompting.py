"""Neighbours for prompts: what of each answers the question, and how many of them fit."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from pydantic import Field

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Neighbour
from vesalius.combine.evidence import ensure_index
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.lookup import Lookup
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.combine.retrieval.stores import Vectors
from vesalius.models import Model, Remote, parts
from vesalius.models.capabilities import Budgeted
from vesalius.models.wording import examples
from vesalius.recipe import Retrieve, Search
from vesalius.run import Run

if TYPE_CHECKING:
    from vesalius.models.sentences import SentenceEncoder

log = logging.getLogger(__name__)
CHARACTERS = 4
"""Of a token, where a model cannot count its own: what English text has in common tokenizers."""
Pair = tuple[str, str]
"""A question and its answer; the question of a caption, which nobody asked, is empty."""
T = TypeVar("T")


class Prompting(Search):
    """How neighbours are looked for whose words enter a prompt, and how long that may be."""

    context: int = Field(default=4096, ge=64)
    """Tokens that a prompt may have, by estimate, of a model that cannot count them (a server's);
    one that can holds to its own ``max_length``. The least similar cases are left out until it
    fits."""
    picture_tokens: int = Field(default=1024, ge=1)
    """Tokens of a picture, in that estimate."""

    def index_settings(self, side: int = 0) -> Retrieve:
        """An index with every word of its cases, and pictures of ``side`` pixels at most."""
        search = {name: getattr(self, name) for name in Search.model_fields}
        return Retrieve(**search, thumbnails=side, whole=True)

    def fits(self, prompt: Dialogue, model: Model) -> bool:
        """Whether a prompt is short enough: as the model counts, or else by the estimate."""
        counting = next((one for one in parts(model) if isinstance(one, Budgeted)), None)
        if counting is not None:
            return counting.fits(prompt)
        return estimated_tokens(prompt, self.picture_tokens) <= self.context


@dataclass(frozen=True, slots=True)
class CitedCase:
    """A neighbour with the pair of its case that is most like what is asked."""

    neighbour: Neighbour
    question: str
    answer: str


class Cases:
    """The training cases near dialogues, never of their patients, each with one of its pairs.

    Which of them, the sentence encoder of the index says, or the packaged one.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever
        self._lookup = Lookup(retriever, others=True)
        self._encoder: SentenceEncoder | None = None

    def controlled(self, control: str) -> Cases:
        """The same under a control of its neighbours."""
        return Cases(self.retriever.controlled(control))

    def near(self, dialogues: Sequence[Dialogue]) -> list[list[CitedCase]]:
        """For each dialogue the cases most like its last question's pictures, the nearest first.

        A case of which nothing was said is none.
        """
        found = self._lookup.neighbours([(one.group, one.study) for one in dialogues])
        return [
            [case for one in near if (case := self._case(dialogue, one)) is not None]
            for dialogue, near in zip(dialogues, found, strict=True)
        ]

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        self._lookup.forget(picture)

    def _case(self, dialogue: Dialogue, neighbour: Neighbour) -> CitedCase | None:
        pairs = self.retriever.pairs(neighbour)
        if not pairs:
            return None
        return CitedCase(neighbour, *nearest_pair(dialogue.question.text, pairs, self._embed))

    def _embed(self, texts: Sequence[str]) -> Vectors:
        """Sentence vectors, by an encoder that is loaded with the first question to choose for."""
        if self._encoder is None:
            from vesalius.models.sentences import SentenceEncoder

            self._encoder = SentenceEncoder(self.retriever.settings.sentences or "minilm")
        return self._encoder.embed(texts)


def require_cases(train: Sequence[Dialogue], index: Retrieve) -> None:
    """ModelError unless there are training pictures, an encoder for them, and answers in words."""
    indexing.ready(index, train)
    examples(train)


def write_cases(run: Run, train: Sequence[Dialogue], index: Retrieve) -> None:
    """Write the index of the training cases, unless it is there."""
    require_cases(train, index)
    ensure_index(run, train, index)


def warn_of_leaving(model: Model, what: str) -> None:
    """Say once that a member on another machine is sent training cases, beside what is asked."""
    if any(isinstance(one, Remote) and getattr(one, "beyond", True) for one in parts(model)):
        log.warning("%s of similar training cases go to another machine with every question", what)


def nearest_pair(
    question: str, pairs: Sequence[Pair], embed: Callable[[Sequence[str]], Vectors]
) -> Pair:
    """Of a neighbour's pairs the one that was asked most alike.

    ``embed`` gives unit vectors (n, d) of sentences. A caption, which answers any instruction, is
    as like as can be; of equals the first is taken.
    """
    if len(pairs) == 1:
        return pairs[0]
    same = next((pair for pair in pairs if pair[0] in {"", question}), None)
    if same is not None:
        return same
    vectors = embed([question, *(text for text, _ in pairs)])
    return pairs[int(np.argmax(vectors[1:] @ vectors[0]))]


def fitting(
    items: Sequence[T], prompt: Callable[[Sequence[T]], Dialogue], fits: Callable[[Dialogue], bool]
) -> tuple[Dialogue, tuple[T, ...]]:
    """The prompt with as many items as fit, and these: the last are dropped first.

    ``prompt`` makes one of the items; without any it is the bare question, which is never dropped:
    where that does not fit by itself, the model refuses it.
    """
    left = tuple(items)
    while left:
        whole = prompt(left)
        if fits(whole):
            return whole, left
        left = left[:-1]
    return prompt(()), ()


def estimated_tokens(dialogue: Dialogue, picture_tokens: int) -> int:
    """About how many tokens a dialogue has, for a model that cannot count them."""
    texts = [dialogue.system or "", *dialogue.context.values()]
    for turn in dialogue.turns:
        texts += [turn.question.text, (turn.reply and turn.reply.text) or ""]
    characters = sum(map(len, texts))
    return -(-characters // CHARACTERS) + picture_tokens * len(dialogue.pictures)
