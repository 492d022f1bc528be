"""The database beneath: pragmas, migrations, failures said in the store's words."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, inspect, text

from vesalius.cases.view import View
from vesalius.errors import MissingExtra, Refusal, VesaliusError
from vesalius.service.store import Store
from vesalius.service.store.database import Conflict, Database, alembic, head
from vesalius.service.store.tables import Base, KeyRow


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def test_models_and_migrations_agree(store) -> None:
    with store._db._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert inspect(connection).get_table_names()
        command.check(alembic(connection))


def test_migrations_go_back_to_nothing_and_forth_again(store) -> None:
    with store._db._writing.begin() as connection:
        command.downgrade(alembic(connection), "base")
    with store._db._engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    assert code(store.ping) == "storage_unavailable"
    store.migrate()
    store.ping()
    store.log("x")
    assert store.verify().ok


CASES = [{"case": "c1", "similarity": 0.9, "text": "a nodule"}]


@pytest.mark.parametrize("revision", ["0002", "0003"])
def test_answers_of_before_are_read_on(url, tmp_path, clock, day, revision) -> None:
    """A database of an earlier version: its similar cases are the evidence, its text is there."""
    store = Store(url, str(tmp_path / "pictures"), clock=clock)
    with store._db._writing.begin() as connection:
        command.upgrade(alembic(connection), revision)
        tables = MetaData()
        tables.reflect(connection)
        conversation, answer = "cnv_" + "1" * 40, "ans_" + "2" * 40
        row = {"id": conversation, "owner": "ada", "title": "what?", "turns": 1}
        times = {"created_at": clock.now, "updated_at": clock.now}
        connection.execute(tables.tables["conversations"].insert().values(**row, **times))
        turn = {
            "answer_id": answer, "conversation_id": conversation, "position": 0, "state": "done",
            "question": "what?", "answer": "a nodule", "abstained": False, "neighbours": CASES,
            "created_at": clock.now, "deadline_at": day, "view_window": [40, 400],
        }  # fmt: skip
        connection.execute(tables.tables["turns"].insert().values(**turn))
    store.migrate()
    old = store.turn("ada", answer)
    assert (old.answer, old.evidence, old.view.window) == ("a nodule", tuple(CASES), (40, 400))
    assert (old.content, old.scores) == (None, None)
    new = store.begin_turn("ada", conversation, None, "where?")
    members = [{"member": "probe", "answer": {"text": "none"}}]
    content = {"text": "there", "boxes": []}
    payload = {"answer": "there", "content": content, "evidence": [*CASES, *members]}
    assert store.finish_turn("ada", new.answer_id, **payload).content == content
    with store._db._writing.begin() as connection:
        command.downgrade(alembic(connection), revision)
        left = connection.execute(text("SELECT neighbours FROM turns ORDER BY position")).all()
    assert [json.loads(v) if isinstance(v, str) else v for (v,) in left] == [CASES, CASES]
    store.close()


def test_sqlite_is_set_up_for_many_processes_and_real_deletion(lite) -> None:
    expected = {
        "journal_mode": "wal",
        "synchronous": 2,  # FULL
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 10_000,
        "temp_store": 2,  # MEMORY
    }
    with lite._db._engine.connect() as connection:
        for name, value in expected.items():
            assert connection.execute(text(f"PRAGMA {name}")).scalar() == value


def test_the_files_are_the_services_alone(lite, tmp_path) -> None:
    lite.new_conversation("ada")
    files = sorted(tmp_path.glob("vesalius.db*"))
    assert [p.name for p in files] == ["vesalius.db", "vesalius.db-shm", "vesalius.db-wal"]
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}


MIGRATES = """
import sys
from vesalius.service.store import Store
store = Store(sys.argv[1], sys.argv[2])
store.migrate()
store.ping()
"""


def test_processes_that_start_at_once_migrate_once(url, tmp_path) -> None:
    command_line = [sys.executable, "-c", MIGRATES, url, str(tmp_path / "pictures")]
    started = [subprocess.Popen(command_line, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 3, errors


def test_threads_that_start_at_once_migrate_once(url, tmp_path) -> None:
    stores = [Store(url, str(tmp_path / "pictures")) for _ in range(4)]
    threads = [threading.Thread(target=store.migrate) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.ping()
        store.close()


def test_a_database_of_a_newer_version_is_left_alone(store) -> None:
    with store._db._writing.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(VesaliusError, match="newer version"):
        store.migrate()
    assert code(store.ping) == "storage_unavailable"


def test_tables_that_are_not_there_are_a_refusal(url, tmp_path) -> None:
    store = Store(url, str(tmp_path / "pictures"))
    assert code(store.ping) == "storage_unavailable"
    assert code(lambda: store.new_conversation("ada")) == "storage_unavailable"
    store.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "no URL"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///file:x?mode=memory&uri=true", "in memory"),
        ("mysql://user:hunter2@host/name", "no database"),
        ("sqlite:////proc/nowhere/x.db", "cannot be opened"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_the_start(url, words) -> None:
    with pytest.raises(VesaliusError, match=words) as caught:
        Database(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+pg8000"])
def test_a_plain_address_finds_a_driver(scheme) -> None:
    database = Database(f"{scheme}://user:secret@127.0.0.1:1/name")
    assert database.url.get_backend_name() == "postgresql"
    assert code(database.check) == "storage_unavailable"


def test_a_driver_that_is_not_installed_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pg8000", None)
    with pytest.raises(MissingExtra, match=r"vesalius\[postgres\]"):
        Database("postgresql+pg8000://user@127.0.0.1/name")


def test_a_database_that_is_none_is_a_refusal_that_quotes_nothing(tmp_path) -> None:
    (tmp_path / "x.db").write_bytes(b"a patient's secret " * 1000)
    store = Store(f"sqlite:///{tmp_path}/x.db", str(tmp_path))
    with pytest.raises(Refusal) as caught:
        store.migrate()
    assert caught.value.code == "storage_unavailable"
    assert "secret" not in str(caught.value)


def test_no_failure_shows_what_was_to_be_stored(lite) -> None:
    with lite._db._engine.begin() as connection:
        connection.execute(text("DROP TABLE turns"))
    with pytest.raises(Refusal) as caught:
        lite.begin_turn("ada", None, None, "Vesalius born 1514?")
    chain, error = [], caught.value
    while error is not None:
        chain.append(str(error))
        error = error.__cause__
    assert len(chain) > 2
    assert "1514" not in " ".join(chain)


def test_a_lock_that_is_not_given_up_is_a_refusal(lite, tmp_path, monkeypatch) -> None:
    with lite._db._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=50")
    with closing(sqlite3.connect(tmp_path / "vesalius.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Refusal) as caught:
            lite.new_conversation("ada")
        assert (caught.value.code, caught.value.retry_after) == ("storage_unavailable", 1)
        assert lite.conversations("ada").conversations == ()  # readers do not wait
        other.execute("ROLLBACK")
    lite.new_conversation("ada")


def test_every_connection_busy_is_a_refusal(lite) -> None:
    lite._db._engine.pool._timeout = 0.05
    held = [lite._db._engine.connect() for _ in range(16)]
    assert code(lambda: lite.conversations("ada")) == "storage_unavailable"
    for connection in held:
        connection.close()
    assert lite.conversations("ada").conversations == ()


def test_two_writers_of_one_key_are_told_apart(store, clock) -> None:
    row = {"id": "key_1", "name": "", "owner": "", "digest": "", "may_act_for_others": False}
    with store._db.write() as session:
        session.add(KeyRow(**row, created_at=clock.now))
    with pytest.raises(Conflict), store._db.write() as session:
        session.add(KeyRow(**row, created_at=clock.now))


def test_a_write_that_fails_leaves_nothing(store, clock) -> None:
    def fails() -> None:
        row = {"id": "key_1", "name": "", "owner": "", "digest": "", "may_act_for_others": False}
        with store._db.write() as session:
            session.add(KeyRow(**row, created_at=clock.now))
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert store.list_keys() == ()


def test_a_store_says_whether_its_state_is_on_this_machine(tmp_path) -> None:
    sqlite, server = f"sqlite:///{tmp_path}/v.db", "postgresql://u@127.0.0.1/n"
    folder, memory = str(tmp_path / "p"), "memory://p"
    assert [Store(u, p).local for u in (sqlite, server) for p in (folder, memory)] == [True] * 4


def test_the_migrations_are_in_the_package() -> None:
    import vesalius.service.store as package

    folder = Path(package.__file__).parent / "migrations"
    assert (folder / "script.py.mako").is_file()
    assert (folder / "__init__.py").is_file()
    assert (folder / "versions" / "__init__.py").is_file()
    assert head() == "0009"


@pytest.mark.slow
def test_a_full_postgresql_disk_is_storage_full(postgresql, tmp_path) -> None:
    store = Store(postgresql, str(tmp_path))
    store.migrate()
    raises = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$"
    with pytest.raises(Refusal) as caught, store._db.write() as session:
        session.execute(text(raises))
    assert caught.value.code == "storage_full"
    store.close()


@pytest.mark.slow
def test_connections_that_the_server_ended_are_replaced(postgresql, tmp_path) -> None:
    store = Store(postgresql, str(tmp_path))
    store.migrate()
    other = Store(postgresql, str(tmp_path))
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    for _ in range(30):  # a reset and an end of file come by chance, and both must be noticed
        store.ping()
        with other._db.read() as session:
            session.execute(text(f"{ended} current_database() AND pid != pg_backend_pid()"))
        store.ping()
    store.close()
    other.close()


@pytest.mark.slow
def test_a_connection_that_ends_in_a_statement_is_a_refusal(postgresql, tmp_path) -> None:
    store, other = (Store(postgresql, str(tmp_path)) for _ in range(2))
    store.migrate()
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "

    def cut() -> None:
        with store._db.read() as session:
            session.execute(text("SELECT 1"))
            with other._db.read() as killer:
                killer.execute(text(f"{ended} current_database() AND pid != pg_backend_pid()"))
            session.execute(text("SELECT 1"))

    for _ in range(30):
        assert code(cut) == "storage_unavailable"
        store.ping()
    store.close()
    other.close()


def test_postgresql_in_short(postgresql, tmp_path, clock, make_picture, day) -> None:
    """One pass over a real server in the quick tests; the slow ones run all of them on it."""
    store = Store(postgresql, str(tmp_path), clock=clock)
    store.migrate()
    image, _ = store.add_image("ada", "ab" * 32, make_picture(), expires_at=day)
    pending = store.begin_turn("ada", None, image.id, "what?", view=View(None, (40, 400)))
    done = store.finish_turn("ada", pending.answer_id, answer="this", usage={"new_tokens": 1})
    assert store.conversation("ada", pending.conversation_id).turns == (done,)
    store.log("asked")
    assert store.verify().ok
    clock.forward(days=31)
    assert store.sweep().conversations == 1
    store.close()
