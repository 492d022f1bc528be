"""The nearest training image's answer: retrieval without any writing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Neighbour, Prediction
from vesalius.combine.retrieval.controls import Queries, under
from vesalius.combine.retrieval.guard import Guard, unguarded, walk
from vesalius.combine.retrieval.index import Index, IndexFacts, Item
from vesalius.combine.retrieval.thumbnails import seen
from vesalius.errors import ModelError, RunError
from vesalius.models import Control, Lesson
from vesalius.models.capabilities import require_control
from vesalius.models.encoders import ImageEncoder, image_encoder
from vesalius.models.guard import require_pictures, require_studies
from vesalius.models.sentences import SentenceEncoder
from vesalius.models.wording import Example, examples, pictured, pooled
from vesalius.recipe import Decoding
from vesalius.retrieval import Encoder
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_json

FILE, OLD_FILE = "answers.json", "said.json"
Pairs = Sequence[tuple[str, str]]
"""The (question, answer) pairs that training has of one image."""


class NearestSettings(Frozen):
    """How far a question may be from the one it borrows an answer from."""

    encoder: Encoder = "efficientnet_lite0"
    """The frozen image encoder (``vesalius.models.encoders.image_encoder``)."""
    sentences: str = "minilm"
    """The frozen sentence encoder."""
    threshold: float = Field(default=0.8, ge=-1.0, le=1.0)
    """Least cosine similarity of two questions for the answer to one to serve the other.

    On VQA-Med 2019's validation split 0.5 gives .377 exact matches, 0.8 .471, 0.99 .438.
    """
    neighbours: int = Field(default=20, ge=1, le=1000)
    """How many images are looked at before the nearest one's best answer is taken anyway."""


@dataclass(frozen=True, slots=True)
class NearestAnswers:
    """A fitted nearest-image model: the index, and what was said of each image in it."""

    needs_image: ClassVar[bool] = True

    settings: NearestSettings
    index: Index
    answers: Sequence[Pairs]
    images: ImageEncoder
    sentences: SentenceEncoder
    control: Control | None = None

    def with_neighbours(self, control: str) -> Self:
        """The same index under a control of its neighbours; UnknownName for one that is none."""
        return replace(self, control=require_control(control))

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, from an image of another patient that is not this one again.

        Confidence is the cosine similarity to the image whose answer is taken, cut to [0, 1];
        the evidence is every neighbour looked at, with the answer it could have given. ModelError
        names a dialogue without a picture before anything is encoded.
        """
        del decoding  # nothing is generated
        studies = require_studies(dialogues)
        if not dialogues:
            return []
        guarded = self.control != "unguarded" and self.index.structures is not None
        vectors, structures = (
            seen(self.images, studies) if guarded else (self.images.embed_studies(studies), None)
        )
        groups = [dialogue.group for dialogue in dialogues]
        queries = Queries(vectors, groups, [study[-1].key for study in studies])
        near = walk(
            self.index,
            under(self.control, self.index, queries),
            self.settings.neighbours,
            lambda row, hits: self._look(dialogues[row].question.text, hits),
            allowed=Guard(self.index, structures).allowed if guarded else unguarded,
        )
        return [self._prediction(d, *one) for d, one in zip(dialogues, near, strict=True)]

    def _look(
        self, question: str, hits: Iterable[tuple[int, float]]
    ) -> tuple[tuple[list[Neighbour], bool], bool]:
        """Neighbours until one was asked the like, and whether one was; and whether to stop."""
        looked_at: list[Neighbour] = []
        for position, similarity in hits:
            text, closeness = self._best(question, self.answers[position])
            item = self.index.items[position]
            looked_at.append(Neighbour(item.case, similarity, item.key, text))
            suits = closeness >= self.settings.threshold
            if suits or len(looked_at) == self.settings.neighbours:
                return (looked_at, suits), True
        return (looked_at, False), False

    def _prediction(
        self, dialogue: Dialogue, looked_at: Sequence[Neighbour], suits: bool
    ) -> Prediction:
        if not looked_at:
            what = "every indexed picture is of this same patient, or this very one again"
            raise ModelError(what, where=dialogue.id)
        taken = looked_at[-1] if suits else looked_at[0]
        sure = Confidence(
            min(1.0, max(0.0, taken.similarity)), "cosine similarity of the nearest image"
        )
        answer = Answer(text=taken.text)
        return Prediction.of(dialogue, answer, confidence=sure, evidence=tuple(looked_at))

    def _best(self, question: str, pairs: Pairs) -> tuple[str, float]:
        """The answer to the most similar question asked of an image, and that similarity."""
        vectors = self.sentences.embed([question, *(text for text, _ in pairs)])
        similarities = vectors[1:] @ vectors[0]
        best = int(np.argmax(similarities))  # the first of equals
        return pairs[best][1], float(similarities[best])


@dataclass(frozen=True, slots=True)
class Nearest:
    """Answers with what an expert said of the most similar training image.

    Neighbours are walked from the most similar: the first that was asked a question similar
    enough answers; if none of them was, the nearest image's most similar question does. For a
    caption all questions are alike, so it is the nearest image's caption.
    """

    Settings: ClassVar[type[NearestSettings]] = NearestSettings
    needs_image: ClassVar[bool] = True
    reads_system: ClassVar[bool] = False

    settings: NearestSettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Index the training pictures and what was said of them; validation chooses nothing."""
        require_pictures(lesson.train)
        taught = examples(lesson.train)
        run.note(**pooled(taught))
        studies = _by_study(taught)
        images = image_encoder(self.settings.encoder)
        vectors, structures = seen(images, list(studies), label="Indexing pictures")
        items = [Item(own[0].case, study[-1].key, own[0].group) for study, own in studies.items()]
        facts = IndexFacts(images.name, images.identity())
        Index(vectors, items, structures=structures, facts=facts).save(run.weights)
        answers = [[(one.question, one.answer) for one in own] for own in studies.values()]
        write_json(run.weights / FILE, answers)

    def load(self, run: Run) -> NearestAnswers:
        """The indexed model of a run; RunError if its files do not belong together."""
        index, path = Index.load(run.weights), run.weights / FILE
        if not path.exists() and (old := run.weights / OLD_FILE).exists():
            path = old
        content = read_json(path)
        try:
            answers = [
                [(str(question), str(answer)) for question, answer in one] for one in content
            ]
        except (TypeError, ValueError) as error:
            raise RunError(f"not questions and answers: {error}", where=path) from error
        if len(answers) != len(index) or not all(answers):
            raise RunError(f"tells of {len(answers)} images, the index of {len(index)}", where=path)
        images = image_encoder(self.settings.encoder)
        index.require(images.name, images.identity())
        return NearestAnswers(
            self.settings, index, answers, images, SentenceEncoder(self.settings.sentences)
        )


def _by_study(taught: Sequence[Example]) -> dict[tuple[Picture, ...], list[Example]]:
    """The pictures that were shown together -> what was said of them, in training order."""
    studies: dict[tuple[Picture, ...], list[Example]] = {}
    for example in pictured(taught):
        studies.setdefault(example.pictures, []).append(example)
    return studies
