"""Pictures on file systems that fill up, that vanish, and that are buckets."""

from __future__ import annotations

import errno
import logging
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vesalius.errors import MissingExtra, Refusal, VesaliusError
from vesalius.service.store import Store
from vesalius.service.store.pictures import Pictures
from vesalius.service.store.records import Reconciled

SHA = "ab" * 32
NAME = "img_" + "ab" * 20


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def rows(store) -> int:
    from sqlalchemy import text

    with store._db.read() as session:
        return session.scalar(text("SELECT count(*) FROM images"))


def test_files_and_folders_are_the_services_alone(lite, make_picture, day, tmp_path) -> None:
    lite.add_image("ada", SHA, make_picture(), expires_at=day)
    (file,) = (tmp_path / "pictures").rglob("*.png")
    assert [p.stat().st_mode & 0o77 for p in (file.parent, file.parent.parent)] == [0, 0]


def test_a_full_disk_leaves_no_file_and_no_row(
    lite, make_picture, day, tmp_path, monkeypatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vesalius.service.store.pictures.write_atomic", full)
    assert (
        code(lambda: lite.add_image("ada", SHA, make_picture(), expires_at=day)) == "storage_full"
    )
    assert list((tmp_path / "pictures").rglob("*.*")) == []
    assert rows(lite) == 0


FILLS_UP = """
import resource, sys
from datetime import timedelta
from pathlib import Path
from vesalius.cases.reencode import Reencoded
from vesalius.errors import Refusal
from vesalius.service.store import Store
from vesalius.service.store.state import utc_now
folder = Path(sys.argv[1])
store = Store(f"sqlite:///{folder}/vesalius.db", str(folder / "pictures"))
store.migrate()
day = utc_now() + timedelta(days=1)
small = Reencoded(b"x" * 1000, ".png", 1, 1, "png")
large = Reencoded(b"x" * 1_000_000, ".png", 1, 1, "png")
store.add_image("ada", "00", small, expires_at=day)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
try:
    store.add_image("ada", "01", large, expires_at=day)
except Refusal as refusal:
    print(refusal.code)
print(store.add_image("ada", "00", small, expires_at=day)[1])
print(sorted(p.stat().st_size for p in (folder / "pictures").rglob("*") if p.is_file()))
print(store.add_image("ada", "02", small, expires_at=day)[1])
"""


def test_a_file_that_the_system_will_not_let_grow_is_refused_whole(tmp_path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FILLS_UP, tmp_path], capture_output=True, text=True, check=False
    )
    assert ran.stdout.split("\n")[:4] == ["storage_full", "False", "[1000]", "True"], ran.stderr


def test_a_row_that_cannot_be_written_takes_its_file_with_it(
    lite, make_picture, day, tmp_path
) -> None:
    from sqlalchemy import text

    first, _ = lite.add_image("ada", SHA, make_picture(), expires_at=day)
    with lite._db._engine.connect() as connection:
        connection.execute(text("PRAGMA max_page_count=1"))  # no less than there are
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        assert connection.execute(text("PRAGMA max_page_count")).scalar() == pages

    def ask_without_end() -> None:
        for _ in range(200):
            lite.begin_turn("ada", None, first.id, "x" * 2000)

    assert code(ask_without_end) == "storage_full"
    before = rows(lite)
    wide = make_picture("another", warnings=("w" * 20_000,))
    assert code(lambda: lite.add_image("ada", "cd" * 32, wide, expires_at=day)) == "storage_full"
    assert [p.stem for p in (tmp_path / "pictures").rglob("*.png")] == [first.id]
    assert rows(lite) == before == 1
    assert lite.image("ada", first.id).id == first.id  # reading goes on


def test_a_file_that_cannot_be_removed_is_left_to_the_reconciler(
    lite, make_picture, day, tmp_path, monkeypatch
) -> None:
    def fails(*_: object) -> None:
        raise Refusal("storage_unavailable", "no answer")

    image, _ = lite.add_image("ada", SHA, make_picture(), expires_at=day)
    with monkeypatch.context() as patched:
        patched.setattr(lite._pictures, "remove", fails)
        assert code(lambda: lite.delete_image("ada", image.id)) == "storage_unavailable"
    assert lite.image("ada", image.id) == image  # nothing was half-deleted
    lite.delete_image("ada", image.id)
    assert code(lambda: lite.image("ada", image.id)) == "not_found"


def test_a_folder_that_cannot_be_written_is_not_ready(lite, tmp_path, monkeypatch) -> None:
    lite.ping()
    monkeypatch.setattr("vesalius.service.store.pictures.os.access", lambda *_: False)
    assert code(lite.ping) == "storage_unavailable"


def test_any_other_failure_is_a_refusal_that_quotes_nothing(
    lite, make_picture, day, monkeypatch
) -> None:
    def breaks(path: Path, data: bytes) -> None:
        raise OSError(errno.EIO, "secret detail")

    monkeypatch.setattr("vesalius.service.store.pictures.write_atomic", breaks)
    with pytest.raises(Refusal) as caught:
        lite.add_image("ada", SHA, make_picture(), expires_at=day)
    assert caught.value.code == "storage_unavailable"
    assert "secret" not in str(caught.value)


def test_a_place_that_is_none_is_refused_at_the_start(tmp_path) -> None:
    with pytest.raises(VesaliusError, match="no folder or URL"):
        Pictures("nowhere://bucket/x")


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs"), ("gcs", "gcs")])
def test_a_file_system_that_is_not_installed_is_named(monkeypatch, scheme, extra) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ImportError

    monkeypatch.setattr("vesalius.service.store.pictures.fsspec.url_to_fs", missing)
    with pytest.raises(MissingExtra, match=rf"vesalius\[{extra}\]"):
        Pictures(f"{scheme}://bucket/x")


def test_memory_holds_pictures_while_the_process_lives(tmp_path, make_picture, day, clock) -> None:
    store = Store(f"sqlite:///{tmp_path}/v.db", f"memory://{tmp_path.name}", clock=clock)
    store.migrate()
    store.ping()
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    assert store.read_picture(image) == make_picture().data
    pictures = store._pictures
    pictures.write(f"ab/{NAME}.png", b"stray")
    assert list(pictures.shard("ab")) == [f"{NAME}.png"]
    clock.now = datetime.now(UTC) + timedelta(minutes=2)
    assert store.reconcile() == Reconciled(1, 0)
    store.delete_image("ada", image.id)
    assert code(lambda: store.read_picture(image)) == "image_expired"
    store.close()


@pytest.fixture
def bucket(monkeypatch):
    """An S3 server on loopback, with an empty bucket."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("ward", exist_ok=True)
    yield "s3://ward/pictures"
    for files in s3fs.S3FileSystem._cache.values():
        files.close_session(files.loop, files._s3)  # the server waits for open connections
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


READS = """
import pickle, sys
print(len(pickle.loads(bytes.fromhex(sys.argv[1])).read()))
"""


def test_a_bucket_holds_pictures_as_a_folder_does(
    bucket, tmp_path, make_picture, clock, monkeypatch
) -> None:
    clock.now = datetime.now(UTC)  # the bucket's own clock
    day = clock.now + timedelta(days=1)
    store = Store(f"sqlite:///{tmp_path}/v.db", bucket, clock=clock)
    store.migrate()
    store.ping()
    image, created = store.add_image("ada", SHA, make_picture(), expires_at=day)
    again = store.add_image("ada", SHA, make_picture(), expires_at=day)
    assert (created, again) == (True, (image, False))
    assert store.read_picture(image) == make_picture().data
    picture = pickle.dumps(store.picture(image)).hex()
    reader = subprocess.run(
        [sys.executable, "-c", READS, picture], capture_output=True, text=True, check=True
    )
    assert int(reader.stdout) == len(make_picture().data)
    store._pictures.write(f"ab/{NAME}.png", b"stray")
    places = ("ab", image.id[4:6])  # each costs the server of the test 20 ms
    monkeypatch.setattr("vesalius.service.store.retention.SHARDS", sorted(set(places)))
    clock.forward(minutes=2)
    assert store.reconcile() == Reconciled(1, 0)
    store._pictures.remove(f"{image.id[4:6]}/{image.id}.png")
    clock.forward(minutes=2)
    assert store.reconcile() == Reconciled(0, 1)
    other, _ = store.add_image("ada", SHA, make_picture(), expires_at=clock.now + timedelta(days=1))
    store.delete_image("ada", other.id)
    assert code(lambda: store.read_picture(other)) == "image_expired"
    assert not store._pictures.exists(f"{other.id[4:6]}/{other.id}.png")
    store.close()


def test_a_bucket_that_does_not_answer_is_a_refusal(
    bucket, tmp_path, make_picture, day, clock
) -> None:
    store = Store(f"sqlite:///{tmp_path}/v.db", "s3://no-such-bucket/x", clock=clock)
    store.migrate()
    upload = lambda: store.add_image("ada", SHA, make_picture(), expires_at=day)  # noqa: E731
    assert code(upload) == "storage_unavailable"
    assert rows(store) == 0
    store.close()
