"""What a folder has lost since its manifest was made, and what was altered in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from vesalius.system.manifest import altered, manifest, missing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "a.txt").write_bytes(b"one")
    (tmp_path / "deep" / "er" / "b.txt").write_bytes(b"three")
    return tmp_path


def test_every_file_has_its_size_and_hash(folder: Path) -> None:
    files = manifest(folder)
    assert list(files) == ["a.txt", "deep/er/b.txt"]
    digest = hashlib.sha256(b"three").hexdigest()
    assert files["deep/er/b.txt"] == {"bytes": 5, "sha256": digest}
    assert list(manifest(folder, without="b.txt")) == ["a.txt"]


def test_a_whole_folder_lacks_nothing(folder: Path) -> None:
    files = manifest(folder)
    (folder / "new.txt").write_bytes(b"more")  # nothing was promised of it
    assert missing(folder, files) is None
    assert altered(folder, files) is None


def test_what_is_lost_cut_or_altered_is_named(folder: Path) -> None:
    files = manifest(folder)
    (folder / "a.txt").write_bytes(b"two")  # as long as before: only the hash knows
    assert missing(folder, files) is None
    assert altered(folder, files) == "a.txt"
    (folder / "a.txt").write_bytes(b"on")
    assert missing(folder, files) == "holds 2 of the 3 bytes of a.txt"
    (folder / "a.txt").unlink()
    assert missing(folder, files) == "has lost a.txt"
