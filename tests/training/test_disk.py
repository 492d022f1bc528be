"""A disk that takes no more: one clear error, and a run that goes on from what is whole."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from tests.training.conftest import Fitted, fit, same

from vesalius.errors import RunError
from vesalius.system import manifest
from vesalius.system.files import append_lines, read_lines
from vesalius.training import callbacks
from vesalius.training.checkpoints import MARKER, last_complete
from vesalius.training.disk import writing


def full(number: int = errno.ENOSPC) -> OSError:
    return OSError(number, os.strerror(number))


def half_a_file(content: Any, path: Any) -> None:
    """torch.save on a disk that fills up while it writes."""
    Path(path).write_bytes(b"half of it")
    raise full()


def fail_at(step: int, whole: Callable[..., Any], broken: Callable[..., Any]) -> Any:
    """``whole`` until the checkpoint of a step, ``broken`` there."""

    def write(*arguments: Any, **named: Any) -> Any:
        where = " ".join(str(a) for a in (*arguments, *named.values()))
        failing = f"checkpoint-{step}" in where
        return (broken if failing else whole)(*arguments, **named)

    return write


def no_room(*arguments: Any, **named: Any) -> Any:
    raise full()


@pytest.mark.parametrize(
    ("target", "name", "broken"),
    [(torch, "save", half_a_file), (callbacks, "mark", no_room), (manifest, "_synced", no_room)],
    ids=["optimizer", "marker", "sync"],
)
def test_a_full_disk_leaves_the_last_complete_checkpoint(
    whole: Fitted,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: Any,
    name: str,
    broken: Any,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(target, name, fail_at(6, getattr(target, name), broken))
        with pytest.raises(RunError, match="the disk is full: checkpoint-6 could not be saved"):
            fit(tmp_path / "run")
    last = last_complete(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == "checkpoint-4"
    assert not (tmp_path / "run" / "checkpoints" / "checkpoint-6" / MARKER).exists()
    same(whole, fit(tmp_path / "run"))


def test_the_error_says_where_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "save", fail_at(4, torch.save, half_a_file))
    with pytest.raises(RunError, match=r"make room; the same command goes on from checkpoint-2"):
        fit(tmp_path / "run")
    assert not (tmp_path / "run" / "checkpoints" / "checkpoint-4").exists()  # it took up room


def test_a_full_disk_under_the_log_is_one_error_too(
    whole: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = append_lines

    def torn(path: Path, rows: Any) -> None:
        if rows[0]["step"] == 5:
            with path.open("a") as file:
                file.write('{"step": 5, "epo')
            raise full(errno.EDQUOT)
        append(path, rows)

    with monkeypatch.context() as patched:
        patched.setattr("vesalius.run.append_lines", torn)
        with pytest.raises(RunError, match="the disk quota is used up: the log could not be saved"):
            fit(tmp_path / "run")
    again = fit(tmp_path / "run")
    same(whole, again)
    assert [row["step"] for _, row in read_lines(again.run.log)] == list(range(1, 10))


def test_a_write_that_the_system_cuts_off_is_told_from_a_bug(tmp_path: Path) -> None:
    """The system's own limit on file sizes: torch's writer fails in the middle of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with (
            pytest.raises(RunError, match="a file cannot be written to its end"),
            writing("x", tmp_path),
        ):
            torch.save(torch.zeros(100_000), tmp_path / "x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SafetensorError("I/O error: No space left on device (os error 28)"), "the disk is full"),
        (SafetensorError("I/O error: (os error 122)"), "quota"),
        (full(errno.EROFS), "Read-only file system: x could not be saved"),
    ],
)
def test_every_writer_says_it_in_its_own_words(tmp_path: Path, error: Exception, said: str) -> None:
    with pytest.raises(RunError, match=said), writing("x", tmp_path):
        raise error


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), SafetensorError("no header")])
def test_other_errors_are_left_alone(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), writing("x", tmp_path):
        raise error
