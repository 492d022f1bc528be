"""Claims: the dead of this machine are known at once, those elsewhere by their silence."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from vesalius.errors import RunError
from vesalius.system.claims import SILENCE, Owner, Watch, beating, claimed, give_up, system
from vesalius.system.places import place


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_claim_says_who_made_it_and_is_made_once(tmp_path: Path) -> None:
    folder = place(tmp_path)
    assert claimed(folder, "c", {"job": "x"})
    assert not claimed(folder, "c", {"job": "y"})
    row = json.loads(folder.read("c"))
    assert (row["job"], row["pid"], row["system"]) == ("x", os.getpid(), system())
    assert row["started"] == pytest.approx(psutil.Process().create_time())


def test_a_claim_made_by_a_request_whose_answer_was_lost_is_had(tmp_path, monkeypatch) -> None:
    link = os.link

    def lost(source: Path, target: Path) -> None:
        link(source, target)
        raise FileExistsError(target)  # what a network file system says when it repeats a request

    folder = place(tmp_path)
    claimed(folder, "other", {})
    monkeypatch.setattr(os, "link", lost)
    assert claimed(folder, "c", {})
    assert not claimed(folder, "other", {})


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_of_this_machine_keeps_its_claim_while_it_beats(tmp_path: Path, child) -> None:
    folder, clock = place(tmp_path), Clock()
    owner = Owner("here", system(), child.pid, psutil.Process(child.pid).create_time())
    folder.create("c", json.dumps(asdict(owner)).encode() + b"\n")
    watch = Watch(folder, clock=clock)
    assert not watch.dead("c")
    for _ in range(5):
        clock.now += SILENCE - 1
        folder.touch("c")
        assert not watch.dead("c")
    child.send_signal(signal.SIGSTOP)  # it lives, but nobody knows for how long it stands still
    clock.now += SILENCE - 1
    assert not watch.dead("c")
    clock.now += 1
    assert watch.dead("c")


def test_a_process_of_somebody_else_is_judged_by_its_silence(tmp_path, child, monkeypatch) -> None:
    folder, clock = place(tmp_path), Clock()
    owner = Owner("here", system(), child.pid, 0.0)
    folder.create("c", json.dumps(asdict(owner)).encode() + b"\n")

    def denied(*_: object) -> float:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "create_time", denied)
    watch = Watch(folder, clock=clock)
    assert not watch.dead("c")
    clock.now += SILENCE
    assert watch.dead("c")


def test_a_claim_that_was_given_up_is_free_at_once(tmp_path: Path, child) -> None:
    folder = place(tmp_path)
    far = {"host": "far", "system": "another boot", "pid": child.pid, "started": 0.0}
    folder.create("c", json.dumps(far).encode() + b"\n")
    watch = Watch(folder)
    assert not watch.dead("c", folder.names())
    give_up(folder, "c")
    assert watch.dead("c", folder.names())


def test_a_claim_that_cannot_be_given_up_is_a_warning(tmp_path: Path, caplog) -> None:
    folder = place(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    give_up(folder, "c")
    assert "a claim was not given up" in caplog.text


def test_a_claim_of_this_process_lives_while_it_works_on_it(tmp_path: Path) -> None:
    folder = place(tmp_path)
    claimed(folder, "c", {})
    watch = Watch(folder)
    with beating(folder, "c"):
        assert not watch.dead("c")
    assert watch.dead("c")  # it was interrupted, and the process goes on to something else


def test_a_killed_process_of_this_machine_is_dead_at_once_even_unburied(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = psutil.Process(child.pid).create_time()
    owner = Owner("here", system(), child.pid, started)
    assert owner.alive()
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while owner.alive() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not owner.alive()  # a zombie: nobody has waited for it yet
    child.wait()
    assert not owner.alive()


def test_another_process_with_the_number_of_the_dead_is_not_taken_for_it() -> None:
    started = psutil.Process().create_time()
    assert not Owner("here", system(), os.getpid(), started - 3600).alive()


@pytest.mark.parametrize("content", [None, b"torn {", b'{"pid": "x"}\n'])
def test_elsewhere_silence_of_a_minute_is_death_and_a_touch_is_life(tmp_path, content) -> None:
    folder, clock = place(tmp_path), Clock()
    far = {"host": "far", "system": "another boot", "pid": os.getpid(), "started": 0.0}
    folder.create("c", content or json.dumps(far).encode() + b"\n")
    watch = Watch(folder, clock=clock)
    assert not watch.dead("c")
    clock.now = SILENCE - 1
    assert not watch.dead("c")
    os.utime(tmp_path / "c", (0, 0))  # its clock stands in 1970: that does not matter
    assert not watch.dead("c")
    clock.now += SILENCE - 1
    assert not watch.dead("c")
    clock.now += 1
    assert watch.dead("c")


def test_work_beats_while_it_lasts(tmp_path: Path) -> None:
    folder = place(tmp_path)
    claimed(folder, "c", {})
    stamps = set()
    with beating(folder, "c", every=0.01):
        deadline = time.monotonic() + 10
        while len(stamps) < 3 and time.monotonic() < deadline:
            stamps.add(folder.stamp("c"))
    assert len(stamps) >= 3
    last = folder.stamp("c")
    time.sleep(0.05)
    assert folder.stamp("c") == last


def test_a_beat_that_fails_is_a_warning_and_ends_nothing(tmp_path: Path, caplog) -> None:
    folder = place(tmp_path / "gone")
    claimed(folder, "c", {})
    (tmp_path / "gone" / "c").unlink()
    with caplog.at_level(logging.WARNING), beating(folder, "c", every=0.01):
        deadline = time.monotonic() + 10
        while not caplog.records and time.monotonic() < deadline:
            time.sleep(0.01)
    assert "a claim was not renewed" in caplog.text
    with pytest.raises(RunError):
        folder.read("c")
