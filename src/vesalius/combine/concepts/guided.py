"""Concept-guided decoding: a draft model that is drawn to words of the concepts in the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction, Reason
from vesalius.combine.concepts.words import ConceptWords, medians
from vesalius.combine.evidence import steerable
from vesalius.combine.members import named_concepts, table
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.language.dictionary import finding_dictionary
from vesalius.models import Lesson, Model, Wraps
from vesalius.models.wording import examples
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_json

if TYPE_CHECKING:
    from transformers import LogitsProcessor

DRAFT, CONCEPTS, FILE = "draft", "concepts", "medians.json"


class GuidedSettings(Frozen):
    """How strongly the concepts guide."""

    alpha: float = Field(default=0.2, ge=0.0, lt=1.0)
    """Weight of the concepts' penalty; the model's own log-probability has the rest. Choose it on
    validation captions, as the paper does."""
    candidates: int = Field(default=8, ge=1, le=64)
    """How many of the likeliest next tokens are weighed at each step; others count as no help."""
    sentences: str = "minilm"
    """The frozen sentence encoder that reads the words."""


@dataclass(frozen=True, slots=True)
class GuidedAnswers:
    """A draft model under guidance, and the model that tells it the concepts."""

    settings: GuidedSettings
    members: Mapping[str, Model]
    names: Mapping[str, str]
    wanted: Mapping[str, float]
    measure: ConceptWords

    @property
    def needs_image(self) -> bool:
        """Whether either member needs one."""
        return any(member.needs_image for member in self.members.values())

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue: the draft model's words, and the concepts as evidence.

        ModelError names a dialogue to which the member answers without concepts.
        """
        draft = steerable(self.members[DRAFT])
        columns = {CONCEPTS: self.members[CONCEPTS].predict(dialogues, decoding)}
        told = [one for (one,) in table(dialogues, columns)]
        named = {
            one.id: [self.names.get(c, c) for c in named_concepts(CONCEPTS, one)] for one in told
        }
        answers = draft.steered(self._steering(draft, named)).predict(dialogues, decoding)
        return [
            replace(answer, evidence=(*answer.evidence, _evidence(named[answer.id], one)))
            for answer, one in zip(answers, told, strict=True)
        ]

    def _steering(self, draft: Any, named: Mapping[str, Sequence[str]]) -> Any:
        from vesalius.combine.concepts.guiding import Guide

        def steer(dialogues: Sequence[Dialogue], start: int) -> Sequence[LogitsProcessor]:
            names = [named[dialogue.id] for dialogue in dialogues]
            guide = Guide(draft.network.encoder.tokenizer, names, self.wanted, self.measure)
            return [guide.at(start, self.settings.alpha, self.settings.candidates)]

        return steer


class Guided:
    """Guides a draft model at decoding by predicted concepts (DMMCS).

    For each concept training tells how alike its captions are to its name: the median, over the
    captions whose case has the concept, of the largest similarity of a word with the name. While
    the model writes, a text is penalised by its squared distance from these medians. Nothing is
    trained. Source: P. Kaliosis et al., Findings of ACL 2024
    (:mod:`vesalius.combine.concepts.words`).
    """

    Settings: ClassVar[type[GuidedSettings]] = GuidedSettings
    needs_image: ClassVar[bool] = False
    wraps: ClassVar[Wraps] = Wraps(
        names=(DRAFT, CONCEPTS), least=2, most=2, tasks={CONCEPTS: "concepts"}
    )

    def __init__(self, settings: GuidedSettings) -> None:
        self.settings = settings

    def check_members(self, members: Mapping[str, Any]) -> None:
        """RecipeError for a draft that is no model whose decoding can be changed here."""
        if not getattr(members[DRAFT], "steerable", False):
            what = "its next tokens cannot be weighed here"
            hint = "guided wraps generative, composed or text"
            raise RecipeError(what, where=f"model.members.{DRAFT}", hint=hint)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """The medians of the training captions' concepts; ModelError where no case has any."""
        concepts, names = lesson.concepts(), concept_words(run)
        captions = [
            (one.answer, [names.get(c, c) for c in concepts.get(one.case, ())])
            for one in examples(lesson.train)
        ]
        known = medians(captions, _measure(self.settings))
        if not known:
            hint = "for captions without codes say data.options.concepts_from: vesalius"
            raise ModelError("no training caption has concepts to learn from", hint=hint)
        write_json(run.weights / FILE, known)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> GuidedAnswers:
        """The members with the run's medians; RunError if its file is no such table."""
        path = run.weights / FILE
        content = read_json(path)
        try:
            wanted = {str(name): float(value) for name, value in content.items()}
        except (AttributeError, TypeError, ValueError) as error:
            raise RunError(f"not the medians of concepts: {error}", where=path) from error
        measure = _measure(self.settings)
        return GuidedAnswers(self.settings, members, concept_words(run), wanted, measure)


def concept_words(run: Run) -> dict[str, str]:
    """What a run's concepts are called: its data set's names, else the own dictionary's."""
    own = {concept: facts.name for concept, facts in run.concepts().items()}
    return {**finding_dictionary().names, **own}


def _measure(settings: GuidedSettings) -> ConceptWords:
    from vesalius.models.sentences import SentenceEncoder

    return ConceptWords(SentenceEncoder(settings.sentences).embed)


def _evidence(names: Sequence[str], one: Prediction) -> Reason:
    """The concepts by name, as what guided the words: they are no answer to the same question."""
    sure = None if one.confidence is None else one.confidence.value
    return Reason(CONCEPTS, ", ".join(names) or "no concepts", sure)
