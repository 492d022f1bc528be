"""Conversations: listed page by page, read whole, deleted for good."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from vesalius.errors import Refusal
from vesalius.service.store.conversations import TITLE, title_of

PLANTED = "Vesalius-Andreas-born-1514"


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def test_pages_run_newest_first_and_meet_everything_once(store, clock) -> None:
    ids = []
    for number in range(7):
        ids.append(store.new_conversation("ada", title=str(number)).id)
        clock.forward(seconds=number % 2)  # some at the same moment: the id decides
    store.new_conversation("bob")
    seen, before = [], None
    while True:
        page = store.conversations("ada", limit=3, before=before)
        seen.extend(page.conversations)
        before = page.next
        if before is None:
            break
    assert sorted(c.id for c in seen) == sorted(ids)
    assert [(c.created_at, c.id) for c in seen] == sorted(
        ((c.created_at, c.id) for c in seen), reverse=True
    )


def test_a_page_goes_on_where_its_last_conversation_was_deleted(store, clock) -> None:
    for number in range(4):
        store.new_conversation("ada", title=str(number))
        clock.forward(seconds=1)
    first = store.conversations("ada", limit=2)
    store.delete_conversation("ada", first.conversations[-1].id)
    second = store.conversations("ada", limit=2, before=first.next)
    assert [c.title for c in first.conversations + second.conversations] == ["3", "2", "1", "0"]
    assert second.next is None


@pytest.mark.parametrize("cursor", ["", "x", "2030~x", "~", "\0~", "20300102T030405.000000~\0"])
def test_a_cursor_of_ones_own_making_is_refused(store, cursor) -> None:
    assert code(lambda: store.conversations("ada", before=cursor)) == "invalid_cursor"


def test_another_owners_conversation_was_never_there(store) -> None:
    theirs = store.new_conversation("ada")
    for conversation_id in (theirs.id, "cnv_" + "0" * 40, "", "img_1", "cnv_\0", "\ud800"):
        assert code(lambda i=conversation_id: store.conversation("bob", i)) == "not_found"
        assert code(lambda i=conversation_id: store.delete_conversation("bob", i)) == "not_found"
    assert store.conversations("bob").conversations == ()
    assert store.conversation("ada", theirs.id).turns == ()


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("What is  shown\nhere?", "What is shown here?"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("word " * 30, "word " * 15 + "word…"),  # 15 * 5 + 4 = 79 characters, and one
    ],
)
def test_a_title_is_the_first_question_in_short(question, title) -> None:
    assert title_of(question) == title
    assert len(title_of(question)) <= TITLE


def test_the_first_question_names_a_conversation_and_no_later_one(store) -> None:
    empty = store.new_conversation("ada")
    pending = store.begin_turn("ada", empty.id, None, "first?")
    store.finish_turn("ada", pending.answer_id, answer="yes")
    store.begin_turn("ada", empty.id, None, "second?")
    assert store.conversation("ada", empty.id).conversation.title == "first?"
    named = store.new_conversation("ada", title="mine")
    store.begin_turn("ada", named.id, None, "what?")
    assert store.conversation("ada", named.id).conversation.title == "mine"


def test_deleting_removes_turns_and_feedback(store) -> None:
    pending = store.begin_turn("ada", None, None, "what?")
    store.add_feedback("ada", pending.answer_id, "up")
    store.delete_conversation("ada", pending.conversation_id)
    assert code(lambda: store.conversation("ada", pending.conversation_id)) == "not_found"
    assert code(lambda: store.turn("ada", pending.answer_id)) == "not_found"
    assert code(lambda: store.add_feedback("ada", pending.answer_id, "up")) == "not_found"
    assert code(lambda: store.finish_turn("ada", pending.answer_id, answer="late")) == "not_found"


def held(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("vesalius.db*")))


def test_what_was_deleted_is_in_no_byte_of_the_files(lite, tmp_path) -> None:
    others = []
    for number in range(40):  # over many pages, some deleted beside some kept
        turn = lite.begin_turn("ada", None, None, f"kept-{number}? " + "x" * 300)
        others.append(turn)
        secret = lite.begin_turn("ada", None, None, f"{PLANTED}-{number}? " + "y" * 700)
        neighbour = {"case": f"{PLANTED}-neighbour", "text": "z" * 3000}
        answer = f"{PLANTED}-answer " * 50
        lite.finish_turn("ada", secret.answer_id, answer=answer, neighbours=[neighbour])
        lite.add_feedback("ada", secret.answer_id, "down", comment=f"{PLANTED}-comment")
    assert PLANTED.encode() in held(tmp_path)
    for conversation in lite.conversations("ada", limit=100).conversations:
        if conversation.title.startswith(PLANTED):
            lite.delete_conversation("ada", conversation.id)
    assert PLANTED.encode() not in held(tmp_path)
    assert b"kept-39?" in held(tmp_path)
    assert len(lite.conversations("ada", limit=100).conversations) == len(others)


def test_text_past_its_time_is_in_no_byte_of_the_files(lite, tmp_path, clock) -> None:
    lite.begin_turn("ada", None, None, PLANTED)
    clock.forward(days=31)
    assert lite.sweep(text_for=timedelta(days=30)).conversations == 1
    assert PLANTED.encode() not in held(tmp_path)
