"""Members' answers side by side: as they come, or refused by the first dialogue that lacks one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vesalius import Answer, Dialogue, Prediction, Question, Turn
from vesalius.combine.consensus import ConsensusAnswers, ConsensusSettings
from vesalius.combine.members import in_step, member_answers, named_concepts, table
from vesalius.errors import ModelError, Unavailable
from vesalius.recipe import Decoding

ASKED = [Dialogue(name, (Turn(Question("what?")),), "g") for name in ("one", "two", "three")]
ANSWERS = [Prediction.of(one, Answer("a mass")) for one in ASKED]


def test_each_dialogue_comes_with_every_members_answer() -> None:
    rows = table(ASKED, {"a": ANSWERS, "b": ANSWERS})
    assert [[one.id for one in row] for row in rows] == [[d.id] * 2 for d in ASKED]


def test_members_that_disagree_on_ids_are_refused_with_the_first() -> None:
    swapped = [ANSWERS[0], ANSWERS[2], ANSWERS[1]]
    with pytest.raises(ModelError, match=r"^two: the member b answers three instead"):
        table(ASKED, {"a": ANSWERS, "b": swapped})
    with pytest.raises(ModelError, match=r"^three: the member b gives no answer"):
        table(ASKED, {"a": ANSWERS, "b": ANSWERS[:2]})
    with pytest.raises(ModelError, match=r"^three: the member b answers one instead"):
        table(ASKED, {"a": ANSWERS, "b": [*ANSWERS, ANSWERS[0]]})


def test_a_member_that_failed_says_itself_why_after_what_all_answered() -> None:
    def failing() -> Iterator[Prediction]:
        yield ANSWERS[0]
        yield ANSWERS[2]  # the second failed, the third came all the same
        raise Unavailable("the server is gone")

    rows = in_step(ASKED, {"a": ANSWERS, "b": failing()})
    assert next(rows)[0].id == "one"
    with pytest.raises(Unavailable, match="the server is gone"):
        next(rows)


class Elsewhere:
    """Answers other dialogues than were asked."""

    needs_image = False

    def predict(self, dialogues: list[Dialogue], decoding: Decoding) -> list[Prediction]:
        return ANSWERS[: len(dialogues)][::-1]


def test_a_consensus_of_other_dialogues_is_refused_and_no_shorter() -> None:
    model = ConsensusAnswers(ConsensusSettings(), {"a": Elsewhere(), "b": Elsewhere()})  # type: ignore[dict-item]
    with pytest.raises(ModelError, match="one: the member a answers three instead"):
        model.predict(ASKED, Decoding())


def test_who_answered_what() -> None:
    away = Prediction.of(ASKED[0], Answer("y"), abstained=True)
    first, second = member_answers(["a", "b"], [ANSWERS[0], away])
    assert (first.member, first.answer.text, first.abstained) == ("a", "a mass", False)
    assert (second.member, second.answer.text, second.abstained) == ("b", "y", True)


def test_a_member_that_should_name_concepts_names_some_or_abstains() -> None:
    with pytest.raises(ModelError, match="one: the member tagger answers without concepts"):
        named_concepts("tagger", ANSWERS[0])
    assert named_concepts("tagger", Prediction.of(ASKED[0], Answer(concepts=("c",)))) == ("c",)
    assert named_concepts("tagger", Prediction.of(ASKED[0], Answer("?"), abstained=True)) == ()
