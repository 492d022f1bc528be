"""The rule of consensus: votes for closed questions, mean similarity for others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from vesalius import Answer, Box, Dialogue, Prediction, Question, Turn
from vesalius.cases.prediction import Confidence, MemberAnswer
from vesalius.combine.consensus import (
    ConsensusAnswers,
    ConsensusSettings,
    is_closed,
    similarities,
    token_f1,
)
from vesalius.models.build import build
from vesalius.recipe import Decoding


@dataclass(frozen=True)
class Fixed:
    """Gives one answer to everything."""

    answer: Answer
    sure: float | None = None
    abstained: bool = False
    needs_image: bool = False
    point: float | None = None

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        confidence = None if self.sure is None else Confidence(self.sure, "fixed")
        return [
            Prediction.of(
                d,
                self.answer,
                confidence=confidence,
                abstained=self.abstained,
                operating_point=self.point,
            )
            for d in dialogues
        ]


def ask(question: Question, *members: Fixed, similarity: str = "token_f1") -> Prediction:
    names = dict(zip("abcdef", members, strict=False))
    settings = ConsensusSettings.model_validate({"similarity": similarity})
    model = ConsensusAnswers(settings, names)
    return model.predict([Dialogue("d", (Turn(question),), "g")], Decoding())[0]


def word(text: str, sure: float | None = None, *, abstained: bool = False) -> Fixed:
    return Fixed(Answer(text), sure, abstained)


CLOSED, OPEN = Question("Is it?", kind="closed"), Question("What is it?", kind="open")


def test_a_closed_question_goes_by_the_vote() -> None:
    best = ask(CLOSED, word("yes", 0.9), word("No.", 0.2), word("no", 0.1))
    assert best.text == "No."  # "no" and "No." are one ballot; its first voter speaks
    assert best.confidence == Confidence(2 / 3, "share of 3 members' votes")


def test_a_tie_goes_to_the_surer_voters_then_to_the_first_member() -> None:
    assert ask(CLOSED, word("yes", 0.6), word("no", 0.7)).text == "no"
    assert ask(CLOSED, word("yes", 0.7), word("no", 0.7)).text == "yes"
    assert ask(CLOSED, word("yes"), word("no")).text == "yes"


def test_an_open_question_goes_to_the_answer_most_like_the_others() -> None:
    # token F1: (a b c, a b) = 4/5, (a b c, x) = 0, (a b, x) = 0; means .4, .4, 0.
    # (a b c, a b, a): (abc, ab) 4/5, (abc, a) 1/2, (ab, a) 2/3; means .65, .7333, .5833.
    best = ask(OPEN, word("a b c"), word("a b"), word("a"))
    assert best.text == "a b"
    assert best.confidence is not None
    assert best.confidence.value == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert best.confidence.method == "mean token_f1 with the other answers"


def test_sentences_may_be_compared_by_meaning() -> None:
    texts = ("no fracture is seen", "there is a fracture of the femur", "no fractures visible")
    best = ask(OPEN, *(word(text) for text in texts), similarity="minilm")
    assert best.text in (texts[0], texts[2])


def test_who_answered_what_is_the_evidence_in_the_members_order() -> None:
    best = ask(CLOSED, word("yes", 0.9), word("no"), word("no", abstained=True))
    assert best.evidence == (
        MemberAnswer("a", Answer("yes"), Confidence(0.9, "fixed")),
        MemberAnswer("b", Answer("no")),
        MemberAnswer("c", Answer("no"), abstained=True),
    )
    assert best.text == "yes"  # who abstains has no vote, and the tie goes to the surer one


def test_all_abstain_and_so_does_their_consensus() -> None:
    best = ask(CLOSED, word("yes", abstained=True), word("yes", abstained=True))
    assert best.abstained
    assert best.text == "yes"


def test_concepts_and_boxes_are_compared_as_what_they_are() -> None:
    # Jaccard: {a, b} and {b, c} share 1 of 3.
    concepts = [Answer(concepts=("a", "b")), Answer(concepts=("b", "c")), Answer(concepts=())]
    assert similarities(concepts, "token_f1")[0].tolist() == pytest.approx([1, 1 / 3, 0])
    # Two 10 x 10 boxes 5 apart overlap by 50 of 150; another label counts nothing.
    one, other = Box(0, 0, 10, 10, "x"), Box(5, 0, 10, 10, "x")
    boxes = [Answer(boxes=(one,)), Answer(boxes=(other,)), Answer(boxes=(Box(0, 0, 10, 10, "y"),))]
    assert similarities(boxes, "token_f1")[0].tolist() == pytest.approx([1, 1 / 3, 0])
    assert similarities([Answer(boxes=()), Answer(boxes=())], "token_f1")[0, 1] == 1
    assert similarities([Answer("x"), Answer(boxes=())], "minilm")[0, 1] == 0


def test_detectors_are_compared_by_what_they_show() -> None:
    here, there = Box(0, 0, 10, 10, "mass", score=0.9), Box(50, 50, 10, 10, "mass", score=0.1)
    alike, other = Box(0, 0, 10, 9, "mass", score=0.8), Box(50, 50, 10, 10, "mass", score=0.9)
    members = (
        Fixed(Answer(boxes=(other,)), point=0.5),
        Fixed(Answer(boxes=(here, there)), point=0.5),
        Fixed(Answer(boxes=(alike,)), point=0.5),
    )
    # By all boxes the second is as near to the first as to the third; shown, only to the third.
    best = ask(Question("Mark masses.", kind="open"), *members)
    assert (best.answer.boxes, best.operating_point) == ((here, there), 0.5)
    assert [one.answer.boxes for one in best.member_answers] == [(other,), (here,), (alike,)]
    assert best.confidence is not None
    assert best.confidence.value == pytest.approx(0.45)  # (0 + 90 / 100) / 2


def test_token_f1() -> None:
    assert token_f1("A b", "b c") == 0.5
    assert token_f1("", "") == 1
    assert token_f1("a", "") == 0


@pytest.mark.parametrize(
    ("question", "closed"),
    [
        (CLOSED, True),
        (OPEN, False),
        (Question("Is there a fracture?"), True),
        (Question("Which organ is shown?"), False),
        (Question("Which?", options=("a", "b")), True),
    ],
)
def test_what_is_closed(question: Question, closed: bool) -> None:
    assert is_closed(question) is closed


def test_a_similarity_that_there_is_not() -> None:
    block = {"name": "consensus", "similarity": "bleu", "members": {"a": {}, "b": {}}}
    with pytest.raises(Exception, match="similarity"):
        build(block)
