"""Beams of a draft model, ordered again by how well they fit the picture or its concepts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, MemberAnswer, Prediction, Reason
from vesalius.combine.concepts.guided import CONCEPTS, DRAFT, concept_words
from vesalius.combine.evidence import steerable
from vesalius.combine.members import named_concepts, table
from vesalius.errors import RecipeError
from vesalius.models import Lesson, Model, Wraps
from vesalius.models.guard import require_pictures, require_studies
from vesalius.models.wording import examples, pictured, plain
from vesalius.recipe import Decoding
from vesalius.retrieval import ImageTextBlock
from vesalius.run import Run
from vesalius.settings import Frozen

if TYPE_CHECKING:
    from vesalius.models.sentences import SentenceEncoder

Similarity = Callable[[Sequence[Dialogue], Sequence[Sequence[str]]], list[NDArray[np.float32]]]
"""Dialogues and the texts of each -> the similarity of each text with the dialogue's picture."""


class RerankedSettings(Frozen):
    """By what the beams are ordered."""

    by: Literal["picture", "concepts"] = "picture"
    """``picture``: an image-text head learned on the training captions (frozen vectors);
    ``concepts``: the sentence similarity with the names of the member's concepts."""
    beams: int = Field(default=4, ge=2, le=16)
    """So many beams are ordered, or ``decoding.beams`` if that is more."""
    weight: float = Field(default=0.5, ge=0.0, le=1.0)
    """Of the similarity, beside the draft model's own confidence, which has the rest."""
    encoder: str = "efficientnet_lite0"
    """The frozen image encoder."""
    sentences: str = "minilm"
    """The frozen sentence encoder."""
    image_text: ImageTextBlock = ImageTextBlock()
    """How the head is learned, for ``by: picture``."""


@dataclass(frozen=True, slots=True)
class RerankedAnswers:
    """A draft model of which the beam is taken that fits best."""

    settings: RerankedSettings
    members: Mapping[str, Model]
    similarity: Similarity

    @property
    def needs_image(self) -> bool:
        """What fits a picture must have one."""
        return True

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: a beam. Its evidence: the draft's own first one, and all.

        Of beams that say the same in small letters the first stands. ModelError names a dialogue
        without a picture.
        """
        require_pictures(dialogues)
        draft = steerable(self.members[DRAFT])
        wide = decoding.model_copy(update={"beams": max(decoding.beams, self.settings.beams)})
        beams = [_distinct(some) for some in draft.alternatives(dialogues, wide)]
        near = self.similarity(dialogues, [[one.text for one in some] for some in beams])
        return [self._best(*one) for one in zip(beams, near, strict=True)]

    def _best(self, beams: Sequence[Prediction], near: NDArray[np.float32]) -> Prediction:
        own = np.array([one.confidence.value if one.confidence else 0.0 for one in beams])
        weight = self.settings.weight
        scores = weight * np.clip(near, 0.0, 1.0) + (1 - weight) * own
        best = int(np.argmax(scores))  # the first of equals: the draft model's own order
        method = f"{weight:g} similarity with the {self.settings.by} + {1 - weight:g} confidence"
        draft = MemberAnswer(DRAFT, beams[0].answer, beams[0].confidence)
        beside = tuple(
            Reason(f"beam {at}", one.text, round(score, 6))
            for at, (one, score) in enumerate(zip(beams, scores.tolist(), strict=True), start=1)
        )
        sure = Confidence(min(1.0, float(scores[best])), method)
        chosen = beams[best]
        return replace(
            chosen,
            confidence=sure,
            evidence=(*chosen.evidence, draft, *beside),
            notes={"reranked": int(best > 0)},
        )


class Reranked:
    """Takes, of a draft model's beams, the one that fits the picture or its concepts best."""

    Settings: ClassVar[type[RerankedSettings]] = RerankedSettings
    needs_image: ClassVar[bool] = True
    wraps: ClassVar[Wraps] = Wraps(
        names=(DRAFT,), optional=(CONCEPTS,), most=2, tasks={CONCEPTS: "concepts"}
    )

    def __init__(self, settings: RerankedSettings) -> None:
        self.settings = settings

    def check_members(self, members: Mapping[str, Any]) -> None:
        """RecipeError for a draft without beams, or concepts that are wanted and not there."""
        if not getattr(members[DRAFT], "steerable", False):
            what, hint = "its beams cannot be had", "reranked wraps generative, composed or text"
            raise RecipeError(what, where=f"model.members.{DRAFT}", hint=hint)
        if (self.settings.by == CONCEPTS) != (CONCEPTS in members):
            what = f"by: {self.settings.by} and the members {', '.join(members)} do not go together"
            hint = "a member called concepts goes with by: concepts, and only with it"
            raise RecipeError(what, where="model.by", hint=hint)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Learn the image-text head on the training captions, where pictures decide."""
        require_pictures([*lesson.train, *lesson.validation])
        if self.settings.by != "picture":
            return
        from vesalius.combine.retrieval.image_text import learn
        from vesalius.models.encoders import image_encoder
        from vesalius.models.sentences import SentenceEncoder

        taught = pictured(examples(lesson.train))
        pictures = image_encoder(self.settings.encoder).embed_studies([o.pictures for o in taught])
        texts = SentenceEncoder(self.settings.sentences).embed([one.answer for one in taught])
        same = [plain(one.answer) for one in taught]
        run.weights.mkdir(parents=True, exist_ok=True)
        learn(pictures, texts, same, self.settings.image_text).save(run.weights)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> RerankedAnswers:
        """The members with the run's head, or with the names of concepts."""
        if self.settings.by == "picture":
            similarity = _by_picture(run, self.settings)
        else:
            similarity = _by_concepts(members[CONCEPTS], concept_words(run), self.settings)
        return RerankedAnswers(self.settings, members, similarity)


def _by_picture(run: Run, settings: RerankedSettings) -> Similarity:
    """The cosine of a text and the pictures in the space of the run's head."""
    from vesalius.combine.retrieval.image_text import ImageTextHead
    from vesalius.models.encoders import image_encoder
    from vesalius.models.sentences import SentenceEncoder

    head, images = ImageTextHead.load(run.weights), image_encoder(settings.encoder)
    sentences = SentenceEncoder(settings.sentences)

    def similarity(
        dialogues: Sequence[Dialogue], texts: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        pictures = head.pictures(images.embed_studies(require_studies(dialogues)))
        written = [head.texts(sentences.embed(list(some))) for some in texts]
        return [some @ picture for some, picture in zip(written, pictures, strict=True)]

    return similarity


def _by_concepts(member: Model, names: Mapping[str, str], settings: RerankedSettings) -> Similarity:
    """The sentence similarity of a text and the names of its picture's concepts; 0 for none."""
    from vesalius.models.sentences import SentenceEncoder

    sentences = SentenceEncoder(settings.sentences)

    def similarity(
        dialogues: Sequence[Dialogue], texts: Sequence[Sequence[str]]
    ) -> list[NDArray[np.float32]]:
        answers = table(dialogues, {CONCEPTS: member.predict(dialogues, Decoding())})
        named = [named_concepts(CONCEPTS, one) for (one,) in answers]
        spelled = [", ".join(names.get(concept, concept) for concept in some) for some in named]
        return [_cosines(*one, sentences) for one in zip(spelled, texts, strict=True)]

    return similarity


def _cosines(wanted: str, texts: Sequence[str], sentences: SentenceEncoder) -> NDArray[np.float32]:
    if not wanted:
        return np.zeros(len(texts), np.float32)
    vectors = sentences.embed([wanted, *texts])
    return np.asarray(vectors[1:] @ vectors[0], np.float32)


def _distinct(beams: Sequence[Prediction]) -> list[Prediction]:
    """The beams without those that repeat an earlier one's words."""
    first: dict[str, Prediction] = {}
    for one in beams:
        first.setdefault(plain(one.text), one)
    return list(first.values())
