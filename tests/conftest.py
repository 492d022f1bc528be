"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

os.environ["VESALIUS_FEATURES_MB"] = "0"  # no test depends on what another one has left
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker a core, their children too
# What tests of several steps share lies beside them: hostile.py, outside.py, planted.py.
sys.path.append(str(Path(__file__).parent))
_frozen = [0]
"""How many modules there were whenever their objects were set aside."""


@pytest.fixture(autouse=True)
def _imports_are_no_garbage() -> None:
    """Each fit collects garbage several times, and would look at every module's objects."""
    if len(sys.modules) > _frozen[-1] + 50:
        _frozen.append(len(sys.modules))
        gc.collect()
        gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # libraries that count their objects at exit find no leaks


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real and hostile inputs, where there is one; else the test is skipped."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("VESALIUS_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("no shared inputs: set VESALIUS_SHARED to their folder")
    return folder


@pytest.fixture(scope="session")
def ray_head() -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a Ray of two workers on this machine, and the environment to reach it with."""
    pytest.importorskip("ray", reason="needs the extra ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback alone, whatever its name says
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        options = f"--head --block --port {port} --num-cpus 2 --include-dashboard false"
        head = subprocess.Popen(
            [
                Path(sys.executable).with_name("ray"),
                "start",
                *options.split(),
                "--temp-dir",
                folder,
            ],
            env=os.environ | own | {"HOME": folder},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listens = False
        while not listens and head.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                listens = True
            time.sleep(0.2)
        yield f"127.0.0.1:{port}", own
        head.terminate()
        head.wait(30)


@pytest.fixture
def ray_cluster(ray_head: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> str:
    """A Ray that is there already, named to the test's processes."""
    address, own = ray_head
    for name, value in (own | {"RAY_ADDRESS": address}).items():
        monkeypatch.setenv(name, value)
    return address
