"""Union, intersection and vote over the concepts of members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius import Answer, Dialogue, Prediction, Question, Turn
from vesalius.cases.prediction import MemberAnswer
from vesalius.combine.concepts.ensemble import (
    ConceptEnsemble,
    ConceptEnsembleSettings,
    ConceptVotes,
)
from vesalius.errors import ModelError, RecipeError
from vesalius.recipe import Decoding

ASKED = Dialogue("case/concepts", (Turn(Question("which?")),), "g", "case")


@dataclass(frozen=True)
class Fixed:
    concepts: tuple[str, ...] | None
    sure: float = 0.5
    abstained: bool = False
    needs_image: bool = False
    name: str | None = None

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        answer = Answer(text="none") if self.concepts is None else Answer(concepts=self.concepts)
        scores = dict.fromkeys(self.concepts or (), self.sure)
        return [
            replace(
                Prediction.of(d, answer, scores=scores, abstained=self.abstained),
                id=self.name or d.id,
            )
            for d in dialogues
        ]


def joined(*members: Fixed, rule: str = "union", **settings: int) -> Prediction:
    named = {f"m{n}": member for n, member in enumerate(members)}
    chosen = ConceptEnsembleSettings.model_validate({"rule": rule, **settings})
    return ConceptVotes(chosen, named).predict([ASKED], Decoding())[0]


A, B, C = Fixed(("a", "b")), Fixed(("b", "c"), sure=0.9), Fixed(("b", "c", "d"))


def test_union_puts_the_most_votes_first_then_the_most_probable() -> None:
    # b three votes; c two; a .5 and d .5 one each, in the members' order
    assert joined(A, B, C).answer.concepts == ("b", "c", "a", "d")


def test_intersection_and_vote() -> None:
    assert joined(A, B, C, rule="intersection").answer.concepts == ("b",)
    assert joined(A, B, C, rule="vote").answer.concepts == ("b", "c")
    assert joined(A, B, C, rule="vote", votes=3).answer.concepts == ("b",)
    assert joined(A, B, rule="vote").answer.concepts == ("b",)  # one of two is no majority


def test_confidence_and_evidence() -> None:
    answer = joined(A, B, C)
    assert answer.confidence is not None
    assert answer.confidence.value == pytest.approx((3 + 2 + 1 + 1) / (4 * 3))
    assert answer.evidence[1] == MemberAnswer("m1", Answer(concepts=("b", "c")))
    nothing = joined(Fixed(()), Fixed(("a",)), rule="intersection")
    assert nothing.answer.concepts == ()
    assert nothing.confidence is not None
    assert nothing.confidence.value == 0.5


def test_members_that_abstain_count_only_where_all_do() -> None:
    away = Fixed(None, abstained=True)
    assert joined(A, away, rule="intersection").answer.concepts == ("a", "b")
    both = joined(away, away)
    assert (both.answer.concepts, both.abstained) == ((), True)


def test_members_that_disagree_on_ids_are_refused() -> None:
    with pytest.raises(ModelError, match=r"case/concepts: .* m1 answers other/concepts instead"):
        joined(A, Fixed(("a",), name="other/concepts"))


def test_a_member_that_answers_in_words_is_refused() -> None:
    with pytest.raises(ModelError, match="the member m1 answers without concepts"):
        joined(A, Fixed(None))


def test_votes_without_a_vote_are_refused() -> None:
    with pytest.raises(ValueError, match="votes go with rule: vote, not with union"):
        ConceptEnsembleSettings(votes=2)


def test_more_votes_than_members_are_refused_before_anything_is_fitted() -> None:
    settings = ConceptEnsembleSettings(rule="vote", votes=3)
    with pytest.raises(RecipeError, match="3 votes are wanted of 2 members"):
        ConceptEnsemble(settings).check_members({"a": object(), "b": object()})


LISTS = st.lists(st.integers(0, 150).map(str), unique=True, max_size=100)


@given(st.lists(LISTS, min_size=2, max_size=4), st.sampled_from(["union", "intersection", "vote"]))
def test_never_twice_never_more_than_a_hundred_and_only_what_was_named(
    lists: list[list[str]], rule: str
) -> None:
    concepts = joined(*(Fixed(tuple(one)) for one in lists), rule=rule).answer.concepts
    assert concepts is not None
    assert len(concepts) == len(set(concepts)) <= 100
    named = [set(one) for one in lists]
    assert set(concepts) <= set.union(*named)
    if rule == "intersection":
        assert set(concepts) == set.intersection(*named)
