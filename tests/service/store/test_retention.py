"""Retention and reconciliation: what goes, what stays, what a crash left."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from vesalius.errors import Refusal
from vesalius.service.store import Store
from vesalius.service.store.records import Reconciled, Swept

SHA = "ab" * 32


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def files(tmp_path: Path) -> list[Path]:
    return sorted(p for p in (tmp_path / "pictures").rglob("*") if p.is_file())


def aged(path: Path, store: Store, clock) -> None:
    """Give a file the clock's time: it is as old as the rows of this moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (clock.now.timestamp(), clock.now.timestamp()))


def test_pictures_go_and_the_text_stays(store, make_picture, day, clock, tmp_path) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    young, _ = store.add_image(
        "ada", "cd" * 32, make_picture(), expires_at=day + timedelta(seconds=1)
    )
    pending = store.begin_turn("ada", None, image.id, "what is it?")
    store.finish_turn("ada", pending.answer_id, answer="a hand")
    assert store.sweep() == Swept(0, 0, 0, 0)
    clock.forward(days=1)
    assert store.turn("ada", pending.answer_id).image_state == "expired"
    assert store.sweep() == Swept(1, 0, 0, 0)
    assert [p.name for p in files(tmp_path)] == [f"{young.id}.png"]
    assert code(lambda: store.image("ada", image.id)) == "image_expired"
    assert code(lambda: store.image("bob", image.id)) == "not_found"
    (turn,) = store.conversation("ada", pending.conversation_id).turns
    assert (turn.answer, turn.image_state) == ("a hand", "expired")


def test_what_expires_is_in_the_audit_log(store, make_picture, day, clock) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    pending = store.begin_turn("bob", None, None, "what is it?")
    clock.forward(days=40)
    store.sweep()
    query = "SELECT event, owner_hash, object_hash FROM audit ORDER BY seq"
    with store._db.read() as session:
        entries = [tuple(row) for row in session.execute(text(query))]
    assert entries == [
        ("image.expired", hashed("ada"), hashed(image.id)),
        ("conversation.expired", hashed("bob"), hashed(pending.conversation_id)),
    ]
    assert store.verify().ok


def test_what_is_found_expired_or_lost_by_an_upload_is_in_it_too(
    store, make_picture, day, clock
) -> None:
    old, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    clock.forward(days=1)
    again, new = store.add_image(
        "ada", SHA, make_picture(), expires_at=clock.now + timedelta(days=1)
    )
    assert new
    store._pictures.remove(store._pictures.path(again.id, again.suffix))
    store.add_image("ada", SHA, make_picture(), expires_at=clock.now + timedelta(days=1))
    with store._db.read() as session:
        entries = session.execute(text("SELECT event, object_hash FROM audit ORDER BY seq"))
        assert [tuple(row) for row in entries] == [
            ("image.expired", hashed(old.id)),
            ("image.lost", hashed(again.id)),
        ]


def hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:40]


def test_a_tombstone_holds_no_hash(store, make_picture, day, clock) -> None:
    store.add_image("ada", SHA, make_picture(), expires_at=day)
    clock.forward(days=1)
    store.sweep()
    with store._db.read() as session:
        row = session.execute(text("SELECT sha256, content FROM images")).one()
    assert tuple(row) == (None, None)


def test_text_goes_a_month_after_its_last_question_and_its_tombstone_with_it(
    store, make_picture, day, clock
) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    pending = store.begin_turn("ada", None, image.id, "what is it?")
    store.finish_turn("ada", pending.answer_id, answer="a hand")
    store.add_feedback("ada", pending.answer_id, "up")
    clock.forward(hours=23)
    more = store.begin_turn("ada", pending.conversation_id, None, "and?")
    store.finish_turn("ada", more.answer_id, answer="a wrist")
    clock.forward(days=29, hours=2)  # the conversation is 30 days and an hour old
    assert store.sweep() == Swept(1, 0, 0, 0)
    assert store.conversation("ada", pending.conversation_id).turns[0].image_state == "expired"
    clock.forward(days=1)
    assert store.sweep() == Swept(0, 1, 1, 0)
    assert code(lambda: store.conversation("ada", pending.conversation_id)) == "not_found"
    assert code(lambda: store.image("ada", image.id)) == "not_found"
    with store._db.read() as session:
        for table in ("images", "conversations", "turns", "feedback"):
            assert session.scalar(text(f"SELECT count(*) FROM {table}")) == 0


def test_a_tombstone_stays_as_long_as_a_text_names_it(store, make_picture, day, clock) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    pending = store.begin_turn("ada", None, image.id, "what is it?")
    for _ in range(4):
        turn = store.conversation("ada", pending.conversation_id).turns[-1]
        store.finish_turn("ada", turn.answer_id, answer="a hand")
        clock.forward(days=20)
        store.sweep()
        store.begin_turn("ada", pending.conversation_id, None, "still?")
    assert code(lambda: store.image("ada", image.id)) == "image_expired"


def test_a_sweep_interrupts_turns_of_the_dead(store, clock) -> None:
    pending = store.begin_turn("ada", None, None, "what?", seconds=60)
    clock.forward(seconds=61)
    assert store.sweep().interrupted == 1
    assert store.turn("ada", pending.answer_id).state == "interrupted"


def test_the_reconciler_removes_files_without_rows(
    store, make_picture, day, clock, tmp_path
) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    aged(files(tmp_path)[0], store, clock)
    stray = tmp_path / "pictures" / "ab" / f"img_ab{'0' * 38}.png"
    torn = stray.with_name(f".img_ab{'1' * 38}.dcm.4711")
    for path in (stray, torn):
        aged(path, store, clock)
    foreign = [stray.with_name("holiday.png"), tmp_path / "pictures" / "README", stray.parent / "x"]
    for path in foreign:
        aged(path, store, clock)
    clock.forward(seconds=59)
    assert store.reconcile() == Reconciled(0, 0)  # an upload may be under way
    clock.forward(seconds=2)
    assert store.reconcile() == Reconciled(2, 0)
    assert store.reconcile() == Reconciled(0, 0)
    assert {p.name for p in files(tmp_path)} == {f"{image.id}.png", "holiday.png", "README", "x"}


def test_the_reconciler_marks_rows_without_files(store, make_picture, day, clock, tmp_path) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    whole, _ = store.add_image("ada", "cd" * 32, make_picture(), expires_at=day)
    (tmp_path / "pictures" / image.id[4:6] / f"{image.id}.png").unlink()
    clock.forward(minutes=2)
    assert store.reconcile() == Reconciled(0, 1)
    assert store.reconcile() == Reconciled(0, 0)
    assert code(lambda: store.image("ada", image.id)) == "image_expired"
    assert store.image("ada", whole.id) == whole
    _, created = store.add_image("ada", SHA, make_picture(), expires_at=day)
    assert created


def test_a_place_that_is_not_mounted_is_no_loss(lite, make_picture, day, clock, tmp_path) -> None:
    for number in range(10):
        lite.add_image("ada", f"{number:064x}", make_picture(), expires_at=day)
    place = (tmp_path / "pictures").rename(tmp_path / "unmounted")
    clock.forward(minutes=2)
    assert code(lite.reconcile) == "storage_unavailable"
    place.rename(tmp_path / "pictures")
    assert lite.reconcile() == Reconciled(0, 0)
    assert len(files(tmp_path)) == 10


def test_a_sweep_that_died_between_row_and_file_is_cleaned_up_after(
    lite, make_picture, day, clock, tmp_path, monkeypatch
) -> None:
    lite.add_image("ada", SHA, make_picture(), expires_at=day)
    aged(files(tmp_path)[0], lite, clock)
    clock.forward(days=1)

    def dies(path: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(lite._pictures, "remove", dies)
        lite.sweep()
    assert len(files(tmp_path)) == 1
    assert lite.reconcile() == Reconciled(1, 0)
    assert files(tmp_path) == []


def test_jobs_in_several_threads_do_each_thing_once(
    store, make_picture, day, clock, tmp_path
) -> None:
    for number in range(60):
        store.add_image("ada", f"{number:064x}", make_picture(str(number)), expires_at=day)
        store.new_conversation("ada")
    clock.forward(days=1)
    with ThreadPoolExecutor(6) as pool:
        swept = list(pool.map(lambda _: store.sweep(), range(6)))
        list(pool.map(lambda _: store.reconcile(), range(2)))
    assert sum(s.images for s in swept) == 60
    assert files(tmp_path) == []
    clock.forward(days=40)
    with ThreadPoolExecutor(6) as pool:
        swept = list(pool.map(lambda _: store.sweep(), range(6)))
    assert sum(s.conversations for s in swept) == 60
    assert sum(s.tombstones for s in swept) == 60


def test_a_sweep_takes_more_than_a_batch(lite, clock, monkeypatch) -> None:
    monkeypatch.setattr("vesalius.service.store.retention.BATCH", 3)
    for _ in range(10):
        lite.new_conversation("ada")
    clock.forward(days=31)
    assert lite.sweep().conversations == 10
