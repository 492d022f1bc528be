"""Checkpoints that are torn, altered or foreign."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.training.conftest import RECIPE, Fitted, fit, rows, same

from vesalius.errors import RunError
from vesalius.training.checkpoints import (
    MARKER,
    belonging,
    keep_newest,
    last_complete,
    mark,
    resume_from,
)

BELONGS = belonging(RECIPE, rows=10, batch=2)


@pytest.fixture
def stopped(whole: Fitted, tmp_path: Path) -> Path:
    """A run with the checkpoints 8 and 9; its checkpoints' folder."""
    shutil.copytree(whole.run.path, tmp_path / "run")
    return tmp_path / "run" / "checkpoints"


def test_the_two_newest_are_kept_and_say_what_they_are(stopped: Path) -> None:
    assert sorted(p.name for p in stopped.iterdir()) == ["checkpoint-8", "checkpoint-9"]
    marker = json.loads((stopped / "checkpoint-9" / MARKER).read_text())
    assert marker["belongs"] == BELONGS
    assert {"adapter_model.safetensors", "optimizer.pt", "rng_state.pth"} <= marker["files"].keys()
    size = (stopped / "checkpoint-9" / "optimizer.pt").stat().st_size
    assert marker["files"]["optimizer.pt"]["bytes"] == size


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda c: (c / MARKER).unlink(), "was not written to its end"),
        (lambda c: (c / MARKER).write_text("{"), "has an unreadable complete.json"),
        (lambda c: (c / "scheduler.pt").unlink(), "has lost scheduler.pt"),
        (lambda c: (c / "optimizer.pt").write_bytes(b"12"), "holds 2 of the"),
    ],
)
def test_a_torn_one_is_passed_over_and_named(
    stopped: Path, whole: Fitted, harm: object, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(stopped / "checkpoint-9")
    again = fit(stopped.parent)
    printed = capsys.readouterr().err
    assert f"checkpoint-9 {said}" in printed
    assert "passed over, going on from checkpoint-8" in printed
    same(whole, again)


def test_one_that_was_never_finished_and_none_before_it_is_the_beginning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "checkpoint-2").mkdir()
    assert resume_from(tmp_path, BELONGS) is None
    assert "checkpoint-2 was not written to its end: passed over" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_one_that_lost_a_file_and_none_before_it_is_refused(stopped: Path) -> None:
    shutil.rmtree(stopped / "checkpoint-8")
    (stopped / "checkpoint-9" / "optimizer.pt").unlink()
    with pytest.raises(RunError, match=r"checkpoint-9: has lost optimizer.pt.*no older.*delete"):
        resume_from(stopped, BELONGS)
    assert (stopped / "checkpoint-9").exists()  # what is refused is left for the user to mend


def test_an_altered_one_is_refused_by_file(stopped: Path) -> None:
    file = stopped / "checkpoint-9" / "adapter_model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(RunError, match=r"checkpoint-9: adapter_model.safetensors was altered"):
        fit(stopped.parent)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recipe": "0123"}, "another recipe"),
        ({"rows": 11}, r"another number of training rows \(10, here 11\)"),
        ({"processes": 2}, r"another number of processes \(1, here 2\) \(launch 1"),
        ({"batch": 4}, "another batch size"),
    ],
)
def test_a_foreign_one_is_refused_with_words(
    stopped: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(RunError, match=said):
        resume_from(stopped, BELONGS | changes)


def test_other_data_do_not_go_on_where_these_stopped(stopped: Path) -> None:
    with pytest.raises(RunError, match=r"number of training rows \(10, here 12\).*delete"):
        fit(stopped.parent, items=rows(12))


def test_another_version_goes_on_but_says_so(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packages = BELONGS["packages"] | {"torch": "3.0"}
    assert resume_from(stopped, BELONGS | {"packages": packages}) == stopped / "checkpoint-9"
    assert "saved with torch" in capsys.readouterr().err


def marked(folder: Path, *steps: int) -> None:
    for step in steps:
        (folder / f"checkpoint-{step}").mkdir()
        mark(folder / f"checkpoint-{step}", BELONGS)


def test_the_newest_are_kept_by_number_not_by_name(tmp_path: Path) -> None:
    marked(tmp_path, 2, 10, 4)
    (tmp_path / "checkpoint-12").mkdir()
    keep_newest(tmp_path, 1)
    assert last_complete(tmp_path) == tmp_path / "checkpoint-10"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-12"]


def test_what_is_being_removed_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked(tmp_path, 2, 4)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # killed before it began
    keep_newest(tmp_path, 1)
    (tmp_path / "checkpoint-4" / MARKER).unlink()
    assert last_complete(tmp_path) is None
