"""ultralytics: one module imports it, and neither network nor settings nor patches come of it."""

from __future__ import annotations

import logging
import os
import pickle
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import vesalius
from vesalius.errors import MissingExtra, ModelError
from vesalius.models.detection import ultralytics_library as ultralytics

pytest.importorskip("ultralytics", reason="the extra yolo is not installed")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[object]]:
    """The package not yet imported, a home of its own, and a resolver that notes what is asked."""
    asked: list[object] = []

    def resolve(*host: object, **options: object) -> None:
        asked.append(host)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    ultralytics.library()  # so that all of its modules are put back afterwards
    for name in [name for name in sys.modules if name.partition(".")[0] == "ultralytics"]:
        monkeypatch.delitem(sys.modules, name)
    ultralytics.library.cache_clear()
    yield asked
    ultralytics.library.cache_clear()


def test_it_is_imported_in_exactly_one_module() -> None:
    pattern = re.compile(r"^\s*(import|from) ultralytics\b|import_module\(\"ultralytics\b", re.M)
    source = Path(vesalius.__file__).parent
    there = [p.name for p in source.rglob("*.py") if pattern.search(p.read_text("utf-8"))]
    assert there == ["ultralytics_library.py"]


def test_no_host_is_looked_up_and_nothing_is_written_in_the_users_home(
    fresh: list[object], tmp_path: Path
) -> None:
    tasks = ultralytics.library()
    assert tasks.DetectionModel
    assert fresh == []
    assert not (tmp_path / "home").exists()
    utils = sys.modules["ultralytics.utils"]
    assert utils.ONLINE is False
    assert sys.modules["ultralytics.utils.events"].events.enabled is False


def test_what_it_patches_is_put_back(fresh: list[object]) -> None:
    before = (torch.save, dict(os.environ), np.get_printoptions(), repr(torch.rand(40) * 0))
    ultralytics.library()
    assert before == (torch.save, dict(os.environ), np.get_printoptions(), repr(torch.zeros(40)))


def test_its_licence_is_told_at_use(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        ultralytics.announce()
    assert "AGPL-3.0" in caplog.text


def test_without_it_one_line_says_what_to_install(
    fresh: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(MissingExtra, match=r"AGPL-3.0.*pip install 'vesalius\[yolo\]'"):
        ultralytics.library()


class Harm:
    """A pickle of it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    marker, path = tmp_path / "harm", tmp_path / "model.pt"
    torch.save({"model": Harm(marker)}, path)
    with pytest.raises(ModelError, match="code beside them"):
        ultralytics.read(path)
    path.write_bytes(pickle.dumps(Harm(marker)))
    with pytest.raises(ModelError, match="code beside them"):
        ultralytics.read(path)
    assert not marker.exists()


def test_a_file_that_is_not_here_is_not_fetched(fresh: list[object]) -> None:
    with pytest.raises(ModelError, match=r"^yolov8n.pt: there is no such file"):
        ultralytics.read(Path("yolov8n.pt"))
    assert fresh == []


def test_reading_leaves_torchs_list_of_safe_classes_as_it_was(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    network = ultralytics.build(ultralytics.described("yolov8n", (0.33, 0.0625, 256)), 2)
    ultralytics.write(network, tmp_path / "model.pt")
    ultralytics.read(tmp_path / "model.pt")
    assert set(torch.serialization.get_safe_globals()) == before


def test_a_network_that_there_is_not_is_told() -> None:
    with pytest.raises(ModelError, match=r"no network 'yolov8q'.*yolov8, yolo11"):
        ultralytics.described("yolov8q")
    with pytest.raises(ModelError, match="no network 'yolov5n'"):
        ultralytics.described("yolov5n")
