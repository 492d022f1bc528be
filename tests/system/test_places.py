"""Shared places: a name is given once, contents are whole, faults are one line."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from threading import Barrier, Thread

import pytest

from vesalius.errors import MissingExtra, RunError
from vesalius.system.places import Bucket, Folder, Place, place

WRITERS = 8


@pytest.fixture(params=["folder", "memory", "s3"])
def shared_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return place(tmp_path / "shards")
    if request.param == "memory":
        return place(f"memory://{tmp_path.name}/shards")
    request.getfixturevalue("bucket")
    return place(f"s3://shards/{tmp_path.name}/predict")


@pytest.fixture(scope="module")
def bucket():
    """A bucket on a local server of the S3 protocol."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    boto3 = pytest.importorskip("boto3")
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="shards")
        yield
    server.stop()


def test_the_first_has_a_name_and_the_second_does_not(shared_place: Place) -> None:
    assert shared_place.names() == set()
    assert shared_place.create("a", b"first")
    assert not shared_place.create("a", b"second")
    assert shared_place.read("a") == b"first"
    assert shared_place.names() == {"a"}


def test_a_touch_is_seen_by_others(shared_place: Place) -> None:
    shared_place.create("a", b"head\n")
    before = shared_place.stamp("a")
    assert shared_place.stamp("a") == before
    shared_place.touch("a")
    assert shared_place.stamp("a") != before
    assert shared_place.read("a").splitlines()[0] == b"head"


def test_of_many_writers_at_once_one_has_the_name(tmp_path: Path) -> None:
    folder, barrier, won = place(tmp_path), Barrier(WRITERS), []

    def write(number: int) -> None:
        barrier.wait()
        if folder.create("a", str(number).encode()):
            won.append(number)

    threads = [Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [folder.read("a")] == [str(number).encode() for number in won]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_system_without_links_still_writes_whole_contents(tmp_path, monkeypatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", no_link)
    folder = place(tmp_path)
    assert folder.create("a", b"first")
    assert not folder.create("a", b"second")
    assert folder.read("a") == b"first"


def test_a_folder_that_vanishes_is_one_line_and_is_not_made_again(tmp_path: Path) -> None:
    folder = place(tmp_path / "mount")
    shutil.rmtree(tmp_path / "mount")
    for ask in (folder.names, lambda: folder.create("a", b""), lambda: folder.read("a")):
        with pytest.raises(RunError, match=r"mount: is not there any more.*goes on"):
            ask()
    assert not (tmp_path / "mount").exists()


def test_a_full_disk_is_one_line_and_leaves_no_half(tmp_path: Path, monkeypatch) -> None:
    folder = place(tmp_path)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="is full; what is there already is whole"):
        folder.create("a", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_bucket_that_vanishes_is_one_line(bucket, monkeypatch) -> None:
    there = place("s3://shards/gone")
    monkeypatch.setattr(Bucket, "_path", lambda *_: "no-such-bucket/gone/a")
    with pytest.raises(RunError, match=r"s3://shards/gone: .*the same command goes on"):
        there.create("a", b"")
    with pytest.raises(RunError, match=r"s3://shards/gone: is not there any more"):
        there.read("a")


def test_urls_of_files_are_folders_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    assert isinstance(place(f"file://{tmp_path}/a"), Folder)
    with pytest.raises(RunError, match="is no folder or URL"):
        place("nonsense://a")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="does not answer: File exists"):
        place(tmp_path / "file")


def test_a_missing_client_names_its_extra(monkeypatch) -> None:
    import fsspec

    def absent(*_: object, **__: object) -> None:
        raise ImportError

    monkeypatch.setattr(fsspec, "url_to_fs", absent)
    with pytest.raises(MissingExtra, match=r"s3fs.*vesalius\[s3\]"):
        place("s3://bucket/a")
