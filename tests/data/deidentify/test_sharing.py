"""De-identification by workers: the outputs and the manifest of one process."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import stat
from functools import partial
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from planted import GREY, full
from scans import written
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.data.deidentify import Options, SharedDeidentification, deidentify, sharing
from vesalius.data.deidentify.pseudonyms import read_key
from vesalius.errors import DatasetError, RunError

FILES = 12


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Images, one of them twice, and a note."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(FILES - 2):
        uid = f"1.2.3.444.55555.{number}"
        (folder / f"{number:02d}.dcm").write_bytes(written(full(GREY, SOPInstanceUID=uid)))
    (folder / "10.dcm").write_bytes((folder / "03.dcm").read_bytes())
    (folder / "note.txt").write_bytes(b"not DICOM")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "UNIT", 4)


shared = partial(SharedDeidentification, workers=0)


def outputs(out: Path) -> dict[str, bytes]:
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*.dcm"))}


def manifest(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def test_workers_and_a_merge_are_one_process(source: Path, tmp_path: Path, capsys) -> None:
    key, alone, out = tmp_path / "a.key", tmp_path / "alone", tmp_path / "out"
    expected = deidentify(source, alone, key=key, workers=0)
    job = shared(source, out, key=key)
    with pytest.raises(RunError, match="3 of 3 shards have no result"):
        job.merge()
    assert job.work() == FILES
    assert shared(source, out, key=key).work() == 0
    told, private = capsys.readouterr(), tmp_path / "map"
    assert "this worker: 12 items" in told.err
    summary = job.merge(private)
    assert summary.statuses == expected.statuses == {"done": 10, "duplicate": 1, "skipped": 1}
    assert outputs(out) == outputs(alone)
    assert manifest(out) == manifest(alone)
    assert len(private.read_text().splitlines()) == FILES
    assert shared(source, out, key=key).merge().statuses == expected.statuses
    assert manifest(out) == manifest(alone)
    assert deidentify(source, out, key=key, workers=0).statuses == expected.statuses


def test_other_options_another_key_and_foreign_folders_are_refused(source, tmp_path) -> None:
    key, out = tmp_path / "a.key", tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("")
    with pytest.raises(DatasetError, match="is not empty and has no manifest"):
        shared(source, out, key=key).work()
    (out / "mine").unlink()
    shared(source, out, key=key).work()
    with pytest.raises(RunError, match="another job's shards: here options"):
        shared(source, out, Options(retain_uids=True), key=key)
    with pytest.raises(RunError, match="another job's shards: here key"):
        shared(source, out, key=tmp_path / "b.key")
    other = shared(source, out, Options(retain_uids=True), key=key, at=str(tmp_path / "x"))
    with pytest.raises(RunError, match="was made with another options"):
        other.work()
    with pytest.raises(DatasetError, match="source and output may not hold one another"):
        shared(source, out, key=key, at=str(source / "shards"))


def test_a_full_disk_ends_a_worker_in_a_line_and_room_lets_it_go_on(source, tmp_path) -> None:
    key, out, fsync, calls = tmp_path / "a.key", tmp_path / "out", os.fsync, []
    job = shared(source, out, key=key)

    def full_disk(file: int) -> None:
        calls.append(file)
        if len(calls) > 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(RunError, match=r"takes no more outputs|is full"):
            job.work()
    assert shared(source, out, key=key).work() >= 4
    assert job.merge().statuses == {"done": 10, "duplicate": 1, "skipped": 1}


def test_a_shard_of_other_files_is_refused(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    job = shared(source, out)
    job.work()
    shards = tmp_path / "out.shards"
    shutil.copyfile(shards / "000001.jsonl", shards / "000002.jsonl")
    with pytest.raises(RunError, match="shard 2 does not hold a row for each of its files"):
        job.merge()


def test_workers_that_start_together_make_one_key(tmp_path: Path) -> None:
    barrier, keys = Barrier(8), set()

    def read() -> None:
        barrier.wait()
        keys.add(read_key(None, tmp_path / "new" / "key")[0])

    threads = [Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key"]
    assert stat.S_IMODE((tmp_path / "new" / "key").stat().st_mode) == 0o600


def test_the_command(source: Path, tmp_path: Path) -> None:
    run, words = CliRunner(), ["deidentify", str(source), str(tmp_path / "out")]
    bad = run.invoke(app, [*words, "--worker", "--map", str(tmp_path / "map")])
    assert "a worker writes no map" in str(bad.exception)
    done = run.invoke(app, [*words, "--worker", "--workers", "1"])
    assert done.exit_code == 0, done.output
    merged = run.invoke(app, [*words, "--merge"])
    assert merged.exit_code == 0, merged.output
    assert "10 de-identified" in merged.output


def test_ray_is_sent_what_makes_the_job_for_one_process_a_worker(source, tmp_path, monkeypatch):
    def here(make: Any, workers: int | None) -> Any:
        job = pickle.loads(pickle.dumps(make))()
        assert (job.work(), workers) == (FILES, 3)
        return make()

    monkeypatch.setattr("vesalius.system.ray_engine.run_on_ray", here)
    out = tmp_path / "out"
    words = ["deidentify", str(source), str(out), "--engine", "ray", "--workers", "3"]
    ended = CliRunner().invoke(app, words)
    assert ended.exit_code == 0, ended.output
    assert "10 de-identified" in ended.output
    assert len(outputs(out)) == 10
