"""Concepts of the most similar training pictures: each neighbour votes for what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from pydantic import Field

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Neighbour, Prediction
from vesalius.combine.evidence import ensure_index
from vesalius.combine.retrieval.lookup import AGAIN, Lookup
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.errors import RunError
from vesalius.models import Lesson
from vesalius.models.guard import require_pictures, require_studies
from vesalius.models.tagging.choosing import ConceptRule, fit_rule
from vesalius.models.tagging.space import MOST, ConceptSpace, Shares, annotated
from vesalius.recipe import Decoding, Retrieve, Search
from vesalius.run import Run
from vesalius.system.files import read_json, write_json

TABLE = "concepts.json"
METHOD = "mean share of the neighbours, by similarity"
UNCHOSEN = 0.5


class ConceptNeighboursSettings(Search):
    """How many neighbours vote."""

    neighbours: int = Field(default=33, ge=1, le=100)
    """How many training cases vote."""
    threshold: float = Field(default=-1.0, ge=-1.0, le=1.0)
    """Least cosine similarity of two pictures for a case to vote."""
    least: int = Field(default=1, ge=1)
    """Concepts of fewer training cases are not given."""
    most: int = Field(default=MOST, ge=1, le=MOST)
    """At most so many concepts an image."""
    each: bool = False
    """A threshold for each concept, as ``tagger`` has them; else one for all (as published)."""
    floor: float = Field(default=0.5, ge=0.0, le=1.0)
    """With ``each``, the least threshold of a concept that no validation image has."""


class PropagatedConcepts:
    """A fitted propagation: it answers with the concepts that enough of the neighbours have."""

    needs_image: ClassVar[bool] = True

    def __init__(
        self,
        lookup: Lookup,
        space: ConceptSpace,
        cases: Mapping[str, Sequence[int]],
        rule: ConceptRule,
    ) -> None:
        self._lookup, self._space, self._cases, self._rule = lookup, space, cases, rule

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: concepts by falling share of similarity, and who voted.

        No neighbour is of the dialogue's group, or its own picture. Where none is left to vote, it
        abstains, which is counted (``no_neighbours``). ModelError names a dialogue without a
        picture before anything is looked up.
        """
        del decoding  # nothing is generated
        near = self._neighbours(dialogues)
        return [self._prediction(*one) for one in zip(dialogues, near, strict=True)]

    def with_neighbours(self, control: str) -> Self:
        """The same votes of other neighbours."""
        return type(self)(self._lookup.controlled(control), self._space, self._cases, self._rule)

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        self._lookup.forget(picture)

    def shares(self, dialogues: Sequence[Dialogue]) -> Shares:
        """Each concept's share of the neighbours' similarity (n, L), in [0, 1]."""
        near = self._neighbours(dialogues)
        rows = [self._share(one) for one in near]
        return np.stack(rows) if rows else np.zeros((0, len(self._space)), np.float32)

    def _neighbours(self, dialogues: Sequence[Dialogue]) -> list[tuple[Neighbour, ...]]:
        studies = require_studies(dialogues)
        groups = [one.group for one in dialogues]
        return self._lookup.neighbours(list(zip(groups, studies, strict=True)))

    def _share(self, near: Sequence[Neighbour]) -> Shares:
        votes = np.zeros(len(self._space), np.float64)
        weights = [max(0.0, one.similarity) for one in near]
        for neighbour, weight in zip(near, weights, strict=True):
            if neighbour.case not in self._cases:
                raise RunError("the index has a case without concepts", where=neighbour.case)
            votes[list(self._cases[neighbour.case])] += weight
        return np.asarray(votes / max(sum(weights), 1e-12), np.float32)

    def _prediction(self, dialogue: Dialogue, near: tuple[Neighbour, ...]) -> Prediction:
        shares = self._share(near)
        chosen = self._rule.choose(shares)
        answer = self._space.prediction(dialogue, shares, chosen, METHOD)
        if not any(one.similarity > 0.0 for one in near):
            answer = replace(answer, abstained=True, confidence=Confidence(0.0, METHOD))
            return replace(answer, evidence=near, notes={"no_neighbours": 1})
        return replace(answer, evidence=near)


@dataclass(frozen=True, slots=True)
class ConceptNeighbours:
    """Propagates the concepts of the k most similar training cases, weighed by similarity.

    The threshold is chosen on the validation split, where there is one, else it is .5.
    Source: the AUEB NLP group's systems for ImageCLEFmedical Caption (33 neighbours).
    """

    Settings: ClassVar[type[ConceptNeighboursSettings]] = ConceptNeighboursSettings
    needs_image: ClassVar[bool] = True
    reads_system: ClassVar[bool] = False

    settings: ConceptNeighboursSettings

    @property
    def index_settings(self) -> Retrieve:
        """An index of the training pictures without pictures in it."""
        return Retrieve(**{name: getattr(self.settings, name) for name in Search.model_fields})

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Index the annotated training pictures, and choose the threshold on validation."""
        require_pictures([*lesson.train, *lesson.validation])
        train, validation = annotated(lesson.train), annotated(lesson.validation)
        space = ConceptSpace.of(train, least=self.settings.least)
        ensure_index(run, train, self.index_settings)
        targets = space.targets(train)
        cases = {
            one.case or one.id: np.flatnonzero(row).tolist()
            for one, row in zip(train, targets, strict=True)
        }
        rule = ConceptRule(np.full(len(space), UNCHOSEN), self.settings.most)
        if validation:
            votes = PropagatedConcepts(_lookup(run), space, cases, rule)
            rule = fit_rule(
                votes.shares(validation),
                space.targets(validation),
                [one.group for one in validation],
                floor=self.settings.floor,
                level=None,
                most=self.settings.most,
                each=self.settings.each,
            )
        write_json(run.weights / TABLE, {**space.table(), "rule": rule.table(), "cases": cases})
        run.note(labels=len(space), rarer_concepts=space.outside(train))

    def load(self, run: Run) -> PropagatedConcepts:
        """The fitted propagation of a run; RunError if its files do not belong together."""
        path = run.weights / TABLE
        table = read_json(path)
        space = ConceptSpace.read(table, path)
        rule = ConceptRule.read(table.get("rule"), len(space), path)
        try:
            cases = {str(case): [int(at) for at in row] for case, row in table["cases"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"not the concepts of cases: {error}", where=path) from error
        return PropagatedConcepts(_lookup(run), space, cases, rule)


def _lookup(run: Run) -> Lookup:
    retriever = Retriever.load(run)
    if retriever is None:
        raise RunError("has no index of similar cases", where=run.path, hint=AGAIN)
    return Lookup(retriever, others=True)
