"""Turns: written before they are answered, one at a time, each in its place."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from vesalius.cases.view import View
from vesalius.errors import Refusal

SHA = "ab" * 32


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def ask(store, conversation_id=None, **more):
    return store.begin_turn("ada", conversation_id, None, "what?", **more)


def answer(store, turn, text="this"):
    return store.finish_turn("ada", turn.answer_id, answer=text)


def test_a_turn_keeps_all_that_was_said(store, make_picture, day, clock) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    pending = store.begin_turn("ada", None, image.id, "what?", view=View(3, (40.5, 400.0)))
    assert (pending.state, pending.position, pending.answer) == ("pending", 0, None)
    assert pending.answer_id.startswith("ans_")
    assert pending.conversation_id.startswith("cnv_")
    clock.forward(seconds=2)
    payload = {
        "answer": "a fracture",
        "content": {"text": "a fracture", "boxes": [], "concepts": ["fracture"]},
        "confidence": {"method": "mean token probability", "value": 0.5},
        "abstained": True,
        "scores": {"fracture": 0.5, "none": 0.25},
        "evidence": [
            {"case": "c1", "similarity": 0.9},
            {"member": "probe", "answer": {"text": "none"}},
        ],
        "provenance": {"model": "m", "decoding": {"beams": 1}},
        "usage": {"new_tokens": 3},
        "timing": {"total": 1.5},
        "finish": "stop",
    }
    done = store.finish_turn("ada", pending.answer_id, **payload)
    for name, value in payload.items():
        expected = tuple(value) if name == "evidence" else value
        assert getattr(done, name) == expected
    assert (done.state, done.view) == ("done", View(3, (40.5, 400.0)))
    assert done.finished_at == clock.now
    assert store.turn("ada", pending.answer_id) == done
    assert store.conversation("ada", pending.conversation_id).turns == (done,)


def test_what_no_database_takes_is_replaced(store) -> None:
    pending = store.begin_turn("ada", None, None, "a\0b\ud800c")
    confidence = {"value": float("nan"), "method": "\0"}
    done = store.finish_turn("ada", pending.answer_id, answer="\udfff\0", confidence=confidence)
    assert done == store.turn("ada", pending.answer_id)
    assert done.question == "a\ufffdb?c"
    assert done.answer == "?\ufffd"
    assert done.confidence == {"value": None, "method": "\0"}


def test_turns_stand_by_position(store) -> None:
    turn = ask(store)
    for number in range(1, 5):
        answer(store, turn, str(number))
        turn = ask(store, turn.conversation_id)
        assert turn.position == number
    transcript = store.conversation("ada", turn.conversation_id)
    assert [t.position for t in transcript.turns] == [0, 1, 2, 3, 4]
    assert transcript.conversation.turns == 5


def test_a_conversation_answers_one_question_at_a_time(store, clock) -> None:
    first = ask(store, seconds=60)
    assert code(lambda: ask(store, first.conversation_id)) == "conversation_busy"
    answer(store, first)
    second = ask(store, first.conversation_id, seconds=60)
    clock.forward(seconds=61)  # its process was killed
    third = ask(store, first.conversation_id)
    states = [t.state for t in store.conversation("ada", first.conversation_id).turns]
    assert states == ["done", "interrupted", "pending"]
    assert (second.position, third.position) == (1, 2)


def test_questions_at_the_same_moment_never_share_a_place(store) -> None:
    conversation = store.new_conversation("ada")

    def attempt(_: int) -> str:
        try:
            return ask(store, conversation.id).state
        except Refusal as refusal:
            return refusal.code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(16)))
    assert sorted(outcomes) == ["conversation_busy"] * 15 + ["pending"]
    assert len(store.conversation("ada", conversation.id).turns) == 1


def test_a_conversation_has_so_many_turns(store) -> None:
    turn = ask(store, max_turns=2)
    store.fail_turn("ada", turn.answer_id, "overloaded")  # does not count
    for _ in range(2):
        turn = ask(store, turn.conversation_id, max_turns=2)
        answer(store, turn)
    assert code(lambda: ask(store, turn.conversation_id, max_turns=2)) == "too_many_turns"


def test_failures_without_end_are_refused_too(lite) -> None:
    turn = ask(lite, max_turns=2)
    lite.fail_turn("ada", turn.answer_id, "overloaded")
    for _ in range(9):  # 5 attempts for each of 2 turns, one made above
        turn = ask(lite, turn.conversation_id, max_turns=2)
        lite.fail_turn("ada", turn.answer_id, "overloaded")
    assert code(lambda: ask(lite, turn.conversation_id, max_turns=2)) == "too_many_turns"


def test_the_first_end_of_a_turn_is_its_end(store) -> None:
    stopped = ask(store)
    ended = store.fail_turn("ada", stopped.answer_id, "cancelled", answer="a fr", cancelled=True)
    assert (ended.state, ended.error, ended.answer) == ("cancelled", "cancelled", "a fr")
    assert answer(store, stopped) == ended
    done = answer(store, ask(store))
    assert store.fail_turn("ada", done.answer_id, "deadline") == done
    assert store.finish_turn("ada", done.answer_id, answer="again").answer == "this"


def test_a_turn_taken_for_dead_may_still_be_answered(store, clock) -> None:
    slow = ask(store, seconds=1)
    clock.forward(seconds=2)
    assert store.interrupt_pending() == 1
    assert store.turn("ada", slow.answer_id).state == "interrupted"
    done = answer(store, slow)
    assert (done.state, done.error) == ("done", None)


def test_pending_turns_are_interrupted_past_their_deadline_or_at_a_lone_start(store, clock) -> None:
    ask(store, seconds=10)
    ask(store, seconds=100)
    assert store.interrupt_pending() == 0
    clock.forward(seconds=11)
    assert store.interrupt_pending() == 1
    assert store.interrupt_pending(everyone=True) == 1
    assert store.interrupt_pending(everyone=True) == 0


def test_a_question_needs_an_image_of_ones_own_that_is_kept(
    store, make_picture, day, clock
) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    assert code(lambda: store.begin_turn("bob", None, image.id, "?")) == "not_found"
    assert store.conversations("bob").conversations == ()  # nothing is left half-made
    clock.forward(days=1)
    assert code(lambda: store.begin_turn("ada", None, image.id, "?")) == "image_expired"


def test_another_owners_turn_was_never_there(store) -> None:
    theirs = ask(store)
    calls = (
        lambda: store.begin_turn("bob", theirs.conversation_id, None, "?"),
        lambda: store.finish_turn("bob", theirs.answer_id, answer="x"),
        lambda: store.fail_turn("bob", theirs.answer_id, "x"),
        lambda: store.turn("bob", theirs.answer_id),
        lambda: store.add_feedback("bob", theirs.answer_id, "up"),
    )
    assert {code(call) for call in calls} == {"not_found"}
    assert store.turn("ada", theirs.answer_id) == theirs


def test_the_last_opinion_holds(store, clock) -> None:
    turn = answer(store, ask(store))
    store.add_feedback("ada", turn.answer_id, "up", comment="good")
    clock.forward(minutes=1)
    given = store.add_feedback("ada", turn.answer_id, "down", reason="wrong_side")
    assert (given.verdict, given.reason, given.comment) == ("down", "wrong_side", None)
    assert given.created_at == clock.now
    assert store.turn("ada", turn.answer_id).feedback == given


def test_opinions_at_the_same_moment_are_one(store) -> None:
    turn = answer(store, ask(store))
    with ThreadPoolExecutor(8) as pool:
        verdicts = ["up", "down"] * 8
        list(pool.map(lambda v: store.add_feedback("ada", turn.answer_id, v), verdicts))
    assert store.turn("ada", turn.answer_id).feedback.verdict in ("up", "down")


def test_each_answer_is_in_the_audit_log_once_as_it_ended(store, clock) -> None:
    done, failed, left = (store.begin_turn("ada", None, None, f"{n}?") for n in range(3))
    store.finish_turn("ada", done.answer_id, answer="yes")
    store.fail_turn("ada", done.answer_id, "cancelled", cancelled=True)  # too late: it stands
    store.fail_turn("ada", failed.answer_id, "deadline")
    store.fail_turn("ada", failed.answer_id, "deadline")
    clock.forward(hours=1)
    store.sweep()
    with store._db.read() as session:
        query = "SELECT event, owner_hash, object_hash, outcome FROM audit ORDER BY seq"
        entries = [tuple(row) for row in session.execute(text(query))]
    ada, given, one, two = (
        hashlib.sha256(name.encode()).hexdigest()[:40]
        for name in ("ada", done.answer_id, failed.answer_id, left.answer_id)
    )
    assert entries == [
        ("answer.given", ada, given, "ok"),
        ("answer.failed", ada, one, "deadline"),
        ("answer.failed", ada, two, "interrupted"),
    ]
