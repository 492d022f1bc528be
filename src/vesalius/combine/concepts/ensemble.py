"""Concepts that several members name: all of them, those of all, or those of enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.combine.members import in_step, member_answers, named_concepts
from vesalius.errors import RecipeError
from vesalius.models import Lesson, Model, Wraps, each
from vesalius.models.tagging.space import MOST
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen

METHOD = "mean share of the members that name the concepts"


class ConceptEnsembleSettings(Frozen):
    """Which of the members' concepts are given."""

    rule: Literal["union", "intersection", "vote"] = "union"
    """``union``: what any member names; ``intersection``: what all name; ``vote``: ``votes``."""
    votes: int | None = Field(default=None, ge=1)
    """With ``vote``, by how many members a concept must be named; null: by more than half."""
    most: int = Field(default=MOST, ge=1, le=MOST)
    """At most so many concepts an image: those of most votes, then of the highest probability."""

    @model_validator(mode="after")
    def _voted(self) -> Self:
        if self.votes is not None and self.rule != "vote":
            raise ValueError(f"votes go with rule: vote, not with {self.rule}")
        return self


@dataclass(frozen=True, slots=True)
class ConceptVotes:
    """Members that answer with concepts, and the rule that joins their lists."""

    settings: ConceptEnsembleSettings
    members: Mapping[str, Model]

    @property
    def needs_image(self) -> bool:
        """Whether any member needs one."""
        return any(member.needs_image for member in self.members.values())

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, its evidence an entry for each member, in their order.

        Members that abstain are counted only where all do. ModelError names a member that answers
        another dialogue, or in words.
        """
        return list(self.predict_each(dialogues, decoding))

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The same one by one."""
        columns = {key: each(one, dialogues, decoding) for key, one in self.members.items()}
        for dialogue, answers in in_step(dialogues, columns):
            yield self._joined(dialogue, answers)

    def _joined(self, dialogue: Dialogue, answers: Sequence[Prediction]) -> Prediction:
        for key, one in zip(self.members, answers, strict=True):
            named_concepts(key, one)
        votes = [one for one in answers if not one.abstained]
        ranked = _ranked(votes)
        wanted = self._wanted(len(votes))
        chosen = [name for name, count in ranked.items() if count >= wanted][: self.settings.most]
        value = _mean_share(chosen, ranked, votes)
        return Prediction.of(
            dialogue,
            Answer(concepts=tuple(chosen)),
            confidence=Confidence(value, METHOD),
            scores={name: count / len(votes) for name, count in ranked.items()} or None,
            evidence=member_answers(self.members, answers),
            abstained=not votes,
        )

    def _wanted(self, members: int) -> int:
        """By how many of the members that answered a concept must be named."""
        if self.settings.rule == "union":
            return 1
        if self.settings.rule == "intersection":
            return max(1, members)
        return self.settings.votes or members // 2 + 1


@dataclass(frozen=True, slots=True)
class ConceptEnsemble:
    """Joins the concepts of its members without learning from them.

    Source: the AUEB NLP group's union and intersection ensembles for ImageCLEFmedical Caption.
    """

    Settings: ClassVar[type[ConceptEnsembleSettings]] = ConceptEnsembleSettings
    needs_image: ClassVar[bool] = False
    wraps: ClassVar[Wraps] = Wraps(least=2)

    settings: ConceptEnsembleSettings

    def check_members(self, members: Mapping[str, object]) -> None:
        """RecipeError where more votes are wanted than there are members."""
        wanted = self.settings.votes or 0
        if wanted > len(members):
            what = f"{wanted} votes are wanted of {len(members)} members"
            raise RecipeError(what, where="model.votes")

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Nothing is learnt: the rule needs no weights."""

    def load(self, run: Run, *, members: Mapping[str, Model]) -> ConceptVotes:
        """The rule over the loaded members."""
        return ConceptVotes(self.settings, members)


def _ranked(votes: Sequence[Prediction]) -> dict[str, int]:
    """Concept -> by how many members it is named; the most first, then the most probable."""
    counts: dict[str, int] = {}
    for one in votes:
        for name in dict.fromkeys(one.answer.concepts or ()):
            counts[name] = counts.get(name, 0) + 1
    sure = {name: sum((one.scores or {}).get(name, 0.0) for one in votes) for name in counts}
    order = sorted(counts, key=lambda name: (-counts[name], -sure[name]))
    return {name: counts[name] for name in order}


def _mean_share(
    chosen: Sequence[str], counts: Mapping[str, int], votes: Sequence[Prediction]
) -> float:
    """Of what was chosen the mean share of votes; of nothing the share that named nothing."""
    if not votes:
        return 0.0
    if chosen:
        return sum(counts[name] for name in chosen) / (len(chosen) * len(votes))
    return sum(not one.answer.concepts for one in votes) / len(votes)
