"""The audit log: every way to tamper with it is found, and most are forbidden."""

from __future__ import annotations

import gc
import hashlib
import json
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from vesalius.errors import VesaliusError
from vesalius.service.store.audit import GENESIS, Entry, _chained, append
from vesalius.service.store.tables import AuditRow

OWNER = hashlib.sha256(b"ada").hexdigest()[:40]


def write(store, count=5) -> None:
    for number in range(count):
        store.log("image.added", owner="ada", about=f"img_{number}")


def execute(store, *statements: str) -> None:
    """What somebody with the database's password does."""
    with store._db._writing.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def unguard(store) -> None:
    if store._db.sqlite:
        names = ("audit_update", "audit_delete", "audit_head_update", "audit_head_delete")
        execute(store, *(f"DROP TRIGGER {name}" for name in names))
    else:
        execute(store, "DROP FUNCTION audit_keep() CASCADE")


def test_an_untouched_log_holds(store) -> None:
    assert store.verify().ok
    write(store)
    verified = store.verify()
    assert (verified.ok, verified.count, verified.first_bad, verified.why) == (True, 5, None, None)


def test_the_chain_is_what_the_manual_says(lite, clock) -> None:
    lite.log("image.added", owner="ada")
    # sha256 of [seq, at, event, owner, object, outcome, the digest before], without spaces
    fields = [1, clock.now.isoformat(timespec="microseconds"), "image.added", OWNER, None, "ok"]
    content = json.dumps([*fields, "0" * 64], separators=(",", ":"))
    assert lite.verify().head == hashlib.sha256(content.encode()).hexdigest()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET event = 'x' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 5",
        "DELETE FROM audit",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET entries = entries - 1",
        "UPDATE audit_head SET entries = entries, digest = 'x'",
        "UPDATE audit_head SET id = 2",
    ],
)
def test_the_database_itself_forbids_to_change_the_log(store, statement) -> None:
    write(store)
    with pytest.raises(DBAPIError, match="append-only"):
        execute(store, statement)
    assert store.verify().ok


@pytest.mark.slow
def test_postgresql_forbids_to_empty_the_log(postgresql, tmp_path) -> None:
    from vesalius.service.store import Store

    store = Store(postgresql, str(tmp_path))
    store.migrate()
    write(store)
    for table in ("audit", "audit_head"):
        with pytest.raises(DBAPIError, match="append-only"):
            execute(store, f"TRUNCATE {table}")
    store.close()


@pytest.mark.parametrize(
    ("statements", "first_bad"),
    [
        (["UPDATE audit SET outcome = 'denied' WHERE seq = 2"], 2),
        (["UPDATE audit SET owner_hash = NULL WHERE seq = 1"], 1),
        (["UPDATE audit SET at = '2030-01-01T00:00:00.000000+00:00' WHERE seq = 4"], 4),
        (["DELETE FROM audit WHERE seq = 1"], 1),
        (["DELETE FROM audit WHERE seq = 3"], 3),
        (["DELETE FROM audit WHERE seq = 5"], 5),
        (["DELETE FROM audit WHERE seq >= 3"], 3),
        (["DELETE FROM audit"], 1),
        (
            [
                "UPDATE audit SET seq = 99 WHERE seq = 2",
                "UPDATE audit SET seq = 2 WHERE seq = 3",
                "UPDATE audit SET seq = 3 WHERE seq = 99",
            ],
            2,
        ),
        (["DELETE FROM audit WHERE seq = 2", "UPDATE audit SET seq = seq - 1 WHERE seq > 2"], 2),
        (["UPDATE audit_head SET entries = 4"], 5),
        (["DELETE FROM audit_head"], 1),
        (["UPDATE audit_head SET entries = 0, digest = ''"], 1),
        (
            ["INSERT INTO audit (seq, at, event, outcome, digest) VALUES (6, '', 'x', 'ok', '')"],
            6,
        ),
    ],
)
def test_tampering_past_the_triggers_is_found_where_it_was_done(
    store, statements, first_bad
) -> None:
    write(store)
    unguard(store)
    execute(store, *statements)
    verified = store.verify()
    assert not verified.ok
    assert verified.first_bad == first_bad
    assert verified.why


def test_a_chain_forged_from_the_start_is_found_by_a_head_noted_elsewhere(lite) -> None:
    write(lite)
    noted = lite.verify().head
    write(lite)
    assert lite.verify(noted=noted).ok
    unguard(lite)
    execute(lite, "DELETE FROM audit", f"UPDATE audit_head SET entries = 0, digest = '{'0' * 64}'")
    for _ in range(20):
        lite.log("image.added")
    assert lite.verify().ok
    verified = lite.verify(noted=noted)
    assert (verified.ok, verified.why) == (False, "the noted head is not in it")


@pytest.mark.parametrize(
    "entry",
    [
        {"event": "Ada's picture"},
        {"event": ""},
        {"event": "x", "outcome": "because Ada asked"},
        {"event": "x" * 65},
    ],
)
def test_no_words_can_be_written_into_the_log(lite, entry) -> None:
    with pytest.raises(VesaliusError, match="audit entry"):
        lite.log(**entry)
    assert lite.verify().count == 0


def test_names_are_written_as_hashes(lite) -> None:
    lite.log("image.added", owner="ada@example.org", about="img_1")
    with lite._db.read() as session:
        hashes = tuple(session.execute(text("SELECT owner_hash, object_hash FROM audit")).one())
    assert hashes == tuple(
        hashlib.sha256(n).hexdigest()[:40] for n in (b"ada@example.org", b"img_1")
    )


def test_an_entry_falls_with_what_it_tells_of(lite) -> None:
    entries = [Entry("image.expired"), Entry("no code"), Entry("image.expired")]
    with pytest.raises(VesaliusError, match="codes"), lite._db.write() as session:
        append(session, lite._now(), entries)
    assert (lite.verify().ok, lite.verify().count) == (True, 0)


def test_threads_that_write_at_once_make_one_chain(store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.log("x"), range(40)))
    assert (store.verify().ok, store.verify().count) == (True, 40)


@pytest.mark.slow
def test_a_long_log_is_walked_in_little_memory(lite) -> None:
    unguard(lite)
    last, rows = GENESIS, []
    for seq in range(1, 5001):
        row = AuditRow(seq=seq, at="a time", event="image.added", outcome="ok")
        last = row.digest = _chained(last, row)
        rows.append(row)
    with lite._db.write() as session:
        session.add_all(rows)
    execute(lite, f"UPDATE audit_head SET entries = 5000, digest = '{last}'")
    del rows, row
    gc.collect()
    tracemalloc.start()
    verified = lite.verify()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (verified.ok, verified.count) == (True, 5000)
    assert peak < 5 * 2**20  # 500 rows at a time; all of them at once take 12 MB
