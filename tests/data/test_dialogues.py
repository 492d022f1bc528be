from __future__ import annotations

from dataclasses import replace

import pytest

from vesalius.cases.case import Answer, Box, Case, Question
from vesalius.cases.picture import Picture
from vesalius.data.dialogues import to_dialogues
from vesalius.errors import DatasetError, UnknownName

PICTURE = Picture("a.png", bytes)


def case(**said):
    return Case(id="c", group="g", pictures=(PICTURE,), modality="CT",
                context={"history": "cough", "report": "x"}, **said)  # fmt: skip


def asked(*answers):
    return tuple(Question(text=f"q{n}", id=str(n), category=f"k{n}",
                          answers=() if a is None else (Answer(text=a),))
                 for n, a in enumerate(answers))  # fmt: skip


def test_vqa_is_one_open_dialogue_a_question():
    first, second = to_dialogues(case(questions=asked("a", None)), "vqa", context=("history",))
    assert (first.id, second.id) == ("c/0", "c/1")
    assert first.turns[0].pictures == (PICTURE,)
    assert first.turns[0].reply is None
    assert (first.group, first.case, first.modality) == ("g", "c", "CT")
    assert dict(first.context) == {"history": "cough"}  # only what was named


def test_categories_choose():
    (only,) = to_dialogues(case(questions=asked("a", "b")), "vqa", categories=("k1",))
    assert only.question.text == "q1"


def test_captions_and_boxes_are_references_where_they_are_known():
    (told,) = to_dialogues(case(caption="A knee."), "caption", instruction="Describe.")
    assert (told.id, told.question.text) == ("c/caption", "Describe.")
    assert told.question.answers == (Answer(text="A knee."),)
    box = Box(1, 2, 3, 4, "cyst")
    (found,) = to_dialogues(case(boxes=(box,)), "detect")
    assert found.question.answers == (Answer(boxes=(box,)),)
    (none,) = to_dialogues(case(boxes=()), "detect")  # a negative is an example, too
    assert none.question.answers == (Answer(boxes=()),)
    for task in ("caption", "detect"):  # a withheld one can be asked for, not learned from
        (open_one,) = to_dialogues(case(), task)
        assert open_one.question.answers == ()


def test_a_dialogue_replies_with_gold_and_ends_open():
    (talk,) = to_dialogues(case(questions=asked("a", None, "c")), "dialogue")
    assert [turn.question.text for turn in talk.turns] == ["q0", "q2"]  # q1 has no gold reply
    assert [turn.reply and turn.reply.text for turn in talk.turns] == ["a", None]
    assert [len(turn.pictures) for turn in talk.turns] == [1, 0]
    assert talk.closed().turns[-1].reply == Answer(text="c")
    (short,) = to_dialogues(case(questions=asked("a")), "dialogue")
    assert (short.turns[0].reply, short.pictures) == (None, (PICTURE,))


@pytest.mark.parametrize("ids", [("", ""), ("x", "x"), ("x", "x.1", "x"), ("2", "", "y")])
def test_ids_are_unique(ids):
    questions = tuple(Question(text="q", id=name) for name in ids)
    names = case(questions=questions).question_ids()
    assert len(set(names)) == len(ids)


def test_an_unknown_task_is_corrected():
    with pytest.raises(UnknownName, match="caption"):
        list(to_dialogues(case(), "captions"))


def test_a_visual_dialogue_is_ordered_and_summed_up():
    told = (("is there a cyst?", "yes", "presence"), ("what modality is this?", "ct", "modality"),
            ("is there a cyst?", "yes", "presence"))  # fmt: skip
    questions = tuple(Question(q, answers=(Answer(text=a),), category=c) for q, a, c in told)
    (talk,) = to_dialogues(case(questions=questions), "visual_dialogue")
    assert [turn.question.category for turn in talk.turns] == ["modality", "presence", "summary"]
    assert talk.question.answers == (Answer(text="CT. It shows a cyst."),)
    (part,) = to_dialogues(case(questions=questions), "visual_dialogue", categories=("modality",))
    assert part.question.answers == (Answer(text="CT."),)
    assert not list(to_dialogues(case(), "visual_dialogue"))


def test_a_turn_is_asked_after_nothing_or_after_replies():
    (talk,) = to_dialogues(case(questions=asked("a", "b", "c"), caption="x"), "dialogue")
    alone = talk.reopen(2)
    assert [t.question.text for t in alone.turns] == ["q2"]
    assert (alone.pictures, alone.turns[0].reply) == ((PICTURE,), None)
    own = talk.reopen(2, [Answer(text="x"), Answer(text="y")])
    assert [t.reply and t.reply.text for t in own.turns] == ["x", "y", None]
    assert [len(t.pictures) for t in own.turns] == [1, 0, 0]
    assert talk.reopen(0, []) == talk.reopen(0)
    # one id whatever the history, the one of the question asked by itself
    apart = [d.id for d in to_dialogues(case(questions=asked("a", "b", "c")), "vqa")]
    assert [talk.turn_id(at) for at in range(3)] == apart == ["c/0", "c/1", "c/2"]
    assert {alone.id, own.id} == {"c/2"}
    assert own.context == talk.context


def test_pictures_stand_in_the_turn_that_shows_them():
    pictures = tuple(Picture(name, bytes) for name in "abcd")
    base = [replace(question, shows=shows) for question, shows in zip(
        asked("old", None, "new", "side"), ((), (1,), (2,), (3,)), strict=True)]  # fmt: skip
    several = replace(case(), pictures=pictures, questions=tuple(base))
    (talk,) = to_dialogues(several, "dialogue")
    # q1 has no gold reply; its picture was shown all the same, so the next turn brings it.
    assert [[p.key for p in turn.pictures] for turn in talk.turns] == [["a"], ["b", "c"], ["d"]]
    alone = ["".join(p.key for p in one.pictures) for one in to_dialogues(several, "vqa")]
    assert alone == ["a", "ab", "abc", "abcd"]
    (chosen,) = to_dialogues(several, "dialogue", categories=("k2", "k3"))
    assert [[p.key for p in turn.pictures] for turn in chosen.turns] == [["a", "b", "c"], ["d"]]
    with pytest.raises(DatasetError, match=r"show pictures of their own, .*the task dialogue"):
        list(to_dialogues(several, "visual_dialogue"))


@pytest.mark.parametrize("shows", [((1,), ()), ((0,), (0,)), ((-1,), ())])
def test_a_case_whose_questions_show_other_pictures_is_none(shows):
    questions = [replace(q, shows=own) for q, own in zip(asked("a", "b"), shows, strict=True)]
    with pytest.raises(DatasetError, match=r"c: its questions show pictures .* of 1, each"):
        case(questions=tuple(questions))
