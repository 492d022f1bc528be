"""Processes without the internet: what the kernel refuses them, and what is noted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vesalius.steps.airgap import COMMANDS, work_sealed
from vesalius.system.airgap import sealable

OPEN = r"""
import socket, subprocess, sys, threading
from vesalius.system.airgap import seal
seal()
def opened(family):
    try:
        socket.socket(family).close()
        return "opened"
    except PermissionError:
        return "refused"
print(opened(socket.AF_INET), opened(socket.AF_INET6), opened(socket.AF_UNIX))
one = threading.Thread(target=lambda: print(opened(socket.AF_INET)))
one.start(); one.join()
child = "import socket\ntry: socket.socket(); print('opened')\nexcept OSError: print('refused')"
print(subprocess.run([sys.executable, "-c", child], capture_output=True, text=True).stdout.strip())
"""
NOTE = """
import socket, sys
from pathlib import Path
from vesalius.system.airgap import note_hosts
note_hosts(Path(sys.argv[1]))
for ask in (lambda: socket.getaddrinfo("localhost", 80), lambda: socket.gethostbyname("localhost")):
    ask()
place = socket.socket(socket.AF_UNIX)
try:
    place.connect("/nothing/there")
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except OSError:
    pass
"""
needs_kernel = pytest.mark.skipif(not sealable(), reason="no seccomp filter for this machine")


def output(program: str, *words: object) -> str:
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@needs_kernel
def test_the_kernel_refuses_the_internet_to_threads_and_children_and_nothing_else() -> None:
    assert output(OPEN).split() == ["refused", "refused", "opened", "refused", "refused"]


def test_hosts_are_noted_and_files_of_this_machine_are_not(tmp_path: Path) -> None:
    output(NOTE, tmp_path / "hosts")
    lines = (tmp_path / "hosts").read_text().splitlines()
    assert lines == [
        "getaddrinfo localhost",
        "gethostbyname localhost",
        "getaddrinfo 127.0.0.1",
        "connect 127.0.0.1",
    ]


@pytest.mark.slow
def test_the_main_job_asks_for_no_host() -> None:
    results = list(work_sealed(lambda _: None))
    assert [(one.words, one.exit, one.hosts) for one in results] == [(w, 0, ()) for w in COMMANDS]


def test_what_calls_home_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a library that reports its use when it is imported
    home = "import socket\ntry: socket.getaddrinfo('usage.example', 443)\nexcept OSError: pass\n"
    (tmp_path / "typer.py").write_text(home + "raise ImportError('no typer here')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    lines: list[str] = []
    first = next(work_sealed(lines.append))
    assert first.hosts == ("getaddrinfo usage.example",)
    assert first.exit == 1
    assert "asked for getaddrinfo usage.example" in lines[-1]
    assert "ImportError: no typer here" in lines[-1]
