"""Archives that are made to swell are refused whole, before any member is unpacked."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vesalius.data.reading import archives
from vesalius.data.reading.archives import Swelling, opened
from vesalius.errors import DatasetError


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def kind(path: Path) -> str:
    with pytest.raises(Swelling) as caught:
        opened(path)
    return caught.value.kind


def test_an_honest_archive_is_opened_once(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": b"one", "b.txt": b"two"})
    assert opened(path) is opened(path)
    assert opened(path).read("b.txt") == b"two"


def test_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    assert opened(zipped(tmp_path / "two.zip", {"a": b"", "b": b""}))
    assert kind(zipped(tmp_path / "three.zip", {"a": b"", "b": b"", "c": b""})) == "too_many"


def test_a_ratio_that_no_picture_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 MB of zeros are 4 kB: a thousand times; 1 MB of them may be masks."""
    monkeypatch.setattr(archives, "HARMLESS", 2_000_000)
    assert opened(zipped(tmp_path / "masks.zip", {"a": bytes(1_000_000)}))
    bomb = zipped(tmp_path / "bomb.zip", {"a": bytes(2_000_000), "b": bytes(2_000_000)})
    assert kind(bomb) == "too_dense"


def test_members_that_share_their_bytes(tmp_path: Path) -> None:
    """A directory that names one member ten times, each by a name of its own."""
    noise = np.random.default_rng(0).bytes(5000)  # heavier than its ten entries
    data = zipped(tmp_path / "a.zip", {"0": noise}).read_bytes()
    at = data.index(b"PK\x01\x02")
    entry, end = data[at : data.index(b"PK\x05\x06")], data[data.index(b"PK\x05\x06") :]
    entries = b"".join(entry[:-1] + str(n).encode() for n in range(10))
    count = struct.pack("<HHL", 10, 10, len(entries))
    path = tmp_path / "overlapping.zip"
    path.write_bytes(data[:at] + entries + end[:8] + count + end[16:])
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == 10
    assert kind(path) == "overlapping"


def test_what_is_no_archive(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x05\x06 no archive at all")
    with pytest.raises(DatasetError, match="not a readable zip archive"):
        opened(path)
