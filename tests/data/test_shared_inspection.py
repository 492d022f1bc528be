"""Check and audit by workers: what they say is what one process says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vesalius.cli.main import main
from vesalius.data import shared_inspection
from vesalius.data.audit import audit_members, read_members
from vesalius.data.check import Summary, check
from vesalius.data.inspection import inspect_cases
from vesalius.data.open import open_dataset
from vesalius.data.shared_inspection import SharedInspection
from vesalius.errors import RunError
from vesalius.steps.audit import audit
from vesalius.system.files import append_lines

PICTURES = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten patients in each of two splits: a copy in both, a blank picture, and a broken one."""
    random = np.random.default_rng(3)
    folder = tmp_path / "set"
    folder.mkdir()
    for split in ("train", "test"):
        rows = []
        for n in range(PICTURES // 2):
            name, levels = f"{split}{n}.png", random.integers(0, 255, (48, 60), np.uint8)
            if n == 3:
                levels[:] = 90
            Image.fromarray(levels).save(folder / name)
            rows.append({"id": name, "image": name, "question": "what?", "answer": f"a{n % 3}"})
        append_lines(folder / f"{split}.jsonl", rows)
    (folder / "test1.png").write_bytes((folder / "train1.png").read_bytes())
    (folder / "test5.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_inspection, "UNIT", 3)


def opened(folder: Path) -> Any:
    return open_dataset("folder", folder)


def test_rows_of_workers_are_what_one_process_sees(folder: Path, tmp_path: Path, capsys) -> None:
    dataset, at = opened(folder), str(tmp_path / "shards")
    assert SharedInspection(dataset, at).work() == PICTURES
    assert "this worker: 20 items" in capsys.readouterr().err
    assert SharedInspection(dataset, at).work() == 0
    alone, together = Summary(), Summary()
    merged = SharedInspection(dataset, at).merged()
    findings = list(check(dataset, summary=together, inspect=merged.cases))
    assert findings == list(check(dataset, summary=alone, inspect=inspect_cases))
    assert {one.code for one in findings} >= {"blank", "two_groups"}
    assert together == alone


def test_an_audit_of_rows_is_the_audit_of_pictures(folder: Path, tmp_path: Path) -> None:
    dataset, at = opened(folder), f"memory://{tmp_path.name}"
    SharedInspection(dataset, at).work()
    look = SharedInspection(dataset, at).merged().pictures
    leaks = audit_members(read_members(dataset, look=look), allow_leaks=True)
    assert repr(leaks) == repr(audit_members(read_members(dataset), allow_leaks=True))
    assert leaks.counts["same_picture"] == 2  # the copy, and the blank one
    rows = SharedInspection(dataset, at).merged()
    verdict, _ = audit(dataset, "set", text_sample=0, inspect=rows.cases)
    alone, _ = audit(dataset, "set", text_sample=0)
    assert verdict.results == alone.results


def test_other_pictures_and_missing_shards_are_refused(folder: Path, tmp_path: Path) -> None:
    at = tmp_path / "shards"
    SharedInspection(opened(folder), str(at)).work()
    (at / "000002.jsonl").unlink()
    with pytest.raises(RunError, match="1 of 7 shards have no result: 2"):
        SharedInspection(opened(folder), str(at)).merged()
    (at / "000002.jsonl").write_bytes((at / "000001.jsonl").read_bytes())
    merged = SharedInspection(opened(folder), str(at)).merged()
    with pytest.raises(RunError, match="holds no row of the picture"):
        list(check(opened(folder), inspect=merged.cases))
    append_lines(folder / "test.jsonl", [{"id": "x", "image": "train0.png", "question": "?"}])
    with pytest.raises(RunError, match="here items 21, there 20"):
        SharedInspection(opened(folder), str(at))


def told(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["vesalius", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize("command", ["check", "audit"])
def test_the_commands_say_the_same(
    folder: Path, tmp_path: Path, command, monkeypatch, capsys
) -> None:
    base = ["data", command, "folder", "--root", str(folder)]
    base += ["--no-text"] if command == "check" else ["--allow-leaks"]
    alone = told(base, monkeypatch, capsys)
    code, _, err = told([*base, "--worker"], monkeypatch, capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "name a place that all workers see" in err
    at = ["--shards", str(tmp_path / "shards")]
    assert told([*base, "--worker", *at], monkeypatch, capsys)[0] == 0
    together = told([*base, "--merge", *at], monkeypatch, capsys)
    assert together[:2] == alone[:2]
