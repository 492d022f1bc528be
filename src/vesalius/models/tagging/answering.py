"""A fitted tagger: what it answers of a picture, and the vectors that it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.models.encoders import ImageEncoder
from vesalius.models.feature_cache import Vectors
from vesalius.models.guard import require_studies
from vesalius.models.linear_head import Head
from vesalius.models.tagging.choosing import ConceptRule
from vesalius.models.tagging.network import probabilities
from vesalius.models.tagging.space import ConceptSpace
from vesalius.recipe import Decoding

METHOD = "mean probability of the concepts"


@dataclass(frozen=True, slots=True)
class TaggedAnswers:
    """A fitted tagger: it answers every question about a picture with the picture's concepts."""

    needs_image: ClassVar[bool] = True

    encoder: ImageEncoder
    head: Head
    space: ConceptSpace
    rule: ConceptRule

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: its picture's concepts by falling probability.

        Of several pictures the mean of their vectors is looked at. ModelError names a dialogue
        without a picture before anything is encoded.
        """
        del decoding  # nothing is generated
        studies = require_studies(dialogues)
        if not dialogues:
            return []
        shares = probabilities(self.head, self.encoder.embed_studies(studies))
        return [
            self.space.prediction(dialogue, row, self.rule.choose(row), METHOD)
            for dialogue, row in zip(dialogues, shares, strict=True)
        ]

    def embed(self, pictures: Sequence[Picture]) -> Vectors:
        """The unit vectors (n, d) that the head looks at: pictures of like concepts lie near."""
        return self.encoder.embed(pictures)
