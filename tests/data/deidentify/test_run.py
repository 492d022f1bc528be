"""Folders, archives and media: never in place, resumable, and a manifest without a value."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import psutil
import pydicom
import pytest
from planted import GREY, SECRET, full, report
from pydicom.fileset import FileSet
from scans import SECRETS, scan, written
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.data.deidentify import Options, check_folder, deidentify, policy
from vesalius.data.deidentify import run as running
from vesalius.data.deidentify.manifest import Manifest
from vesalius.data.deidentify.pseudonyms import Pseudonyms
from vesalius.data.deidentify.sources import File
from vesalius.errors import DatasetError, IdentityRisk, MissingExtra, RunError, VesaliusError

UID = "1.2.3.444.55555.{}"


def image(number: int, **fields: object) -> bytes:
    own = {"SOPInstanceUID": UID.format(number), "StudyInstanceUID": UID.format("0.1")}
    return written(full(GREY, SeriesInstanceUID=UID.format("0.2"), **own | fields))


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three images, one in an archive; a note and a report."""
    folder = tmp_path / "DOE JANE"
    put(folder / "MRN0012345" / "1.dcm", image(1))
    put(folder / "MRN0012345" / "2", image(2))
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("DOE/3.dcm", image(3))
    put(folder / "note.txt", b"not DICOM")
    return folder


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()][1:]


def outputs(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.dcm"))
    }


def here(source: Path, out: Path, **options: object) -> running.Summary:
    return deidentify(source, out, Options.model_validate(options), workers=0)


def test_a_folder(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = here(source, out)
    assert summary.statuses == {"done": 3, "skipped": 1}
    assert summary.key == tmp_path / "out.key"
    assert stat.S_IMODE(summary.key.stat().st_mode) == 0o600
    summary.require_good()
    found = outputs(out)
    assert len(found) == 3
    assert len({path.rpartition("/")[0] for path in found}) == 1  # one series
    assert not list(out.glob(".part*"))
    for name in (SECRET, *SECRETS, "DOE", "MRN"):
        assert not any(name in path for path in found)
        assert name not in (out / "manifest.jsonl").read_text()
    assert [found for _, found in check_folder(out)] == [[], [], []]


def test_the_manifest_counts_actions_by_keyword(source: Path, tmp_path: Path) -> None:
    here(source, tmp_path / "out")
    row = next(row for row in rows(tmp_path / "out") if row["status"] == "done")
    assert row["actions"]["X"]["Private"] == 8  # two at the top, two in each of three items
    assert row["actions"]["X"]["Overlay"] == 2
    assert row["actions"]["U"]["SOPInstanceUID"] == 1
    assert row["actions"]["Z"]["StudyDate"] == 4
    assert len(row["source"]) == 32
    assert (tmp_path / "out" / row["output"]).stat().st_size == row["bytes"]


def test_the_source_is_not_touched(source: Path, tmp_path: Path) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in source.rglob("*")}
    here(source, tmp_path / "out")
    after = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in source.rglob("*")}
    assert before == after


def test_processes_give_what_one_process_gives(source: Path, tmp_path: Path) -> None:
    key = tmp_path / "a.key"
    deidentify(source, tmp_path / "one", key=key, workers=0)
    summary = deidentify(source, tmp_path / "two", key=key, workers=2)
    assert summary.statuses == {"done": 3, "skipped": 1}
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")


def test_another_key_gives_other_names(source: Path, tmp_path: Path) -> None:
    here(source, tmp_path / "one")
    here(source, tmp_path / "two")
    assert not set(outputs(tmp_path / "one")) & set(outputs(tmp_path / "two"))


def test_a_file_an_archive_and_a_medium(source: Path, tmp_path: Path) -> None:
    key = tmp_path / "a.key"
    single, archive = source / "MRN0012345" / "1.dcm", source / "more.zip"
    assert deidentify(single, tmp_path / "1", key=key, workers=0).statuses == {"done": 1}
    assert deidentify(archive, tmp_path / "2", key=key, workers=0).statuses == {"done": 1}
    medium = FileSet()
    medium.add(pydicom.dcmread(single))
    medium.write(tmp_path / "medium")
    listed = deidentify(tmp_path / "medium" / "DICOMDIR", tmp_path / "3", key=key, workers=0)
    assert listed.statuses == {"done": 1}
    for path in sorted((tmp_path / "medium").rglob("*"), reverse=True):
        if path.name != "DICOMDIR":  # as Linux shows a medium
            path.rename(path.with_name(path.name.lower()))
    shown = deidentify(tmp_path / "medium" / "DICOMDIR", tmp_path / "5", key=key, workers=0)
    assert shown.statuses == {"done": 1}
    whole = deidentify(tmp_path / "medium", tmp_path / "4", key=key, workers=0)
    assert whole.codes == {("skipped", "directory"): 1}
    assert outputs(tmp_path / "1") == outputs(tmp_path / "3") == outputs(tmp_path / "4")


def test_a_second_call_does_nothing_and_says_the_same(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    put(source / "report.dcm", written(report()))
    first = here(source, out)
    before = outputs(out), (out / "manifest.jsonl").read_bytes()
    second = here(source, out)
    assert first.codes == second.codes
    assert first.statuses == second.statuses == {"done": 3, "skipped": 1, "refused": 1}
    assert (outputs(out), (out / "manifest.jsonl").read_bytes()) == before


def test_it_goes_on_after_a_torn_line_an_unnoted_output_and_a_half_written_file(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    here(source, out)
    expected, manifest = outputs(out), out / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:2]) + lines[2][:30])
    put(out / ".part-123", b"half")
    assert here(source, out).statuses == {"done": 3, "skipped": 1}
    assert outputs(out) == expected
    assert not (out / ".part-123").exists()
    assert len(rows(out)) == 4


def test_a_changed_source_is_not_taken_for_done(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here(source, out)
    put(source / "MRN0012345" / "1.dcm", image(1, Modality="MR"))
    summary = here(source, out)
    assert summary.codes["failed", "conflict"] == 1  # what is there is never overwritten
    put(source / "MRN0012345" / "4.dcm", image(4))
    assert here(source, out).statuses["done"] == 4


def test_two_files_of_one_image(source: Path, tmp_path: Path) -> None:
    put(source / "copy.dcm", image(1))
    put(source / "other.dcm", image(2, Modality="MR"))
    summary = here(source, tmp_path / "out")
    assert summary.statuses["duplicate"] == 1
    assert summary.codes["failed", "conflict"] == 1
    assert len(outputs(tmp_path / "out")) == summary.statuses["done"] == 3


def test_places_that_are_refused(source: Path, tmp_path: Path) -> None:
    for out in (source, source / "out", source.parent):
        with pytest.raises(DatasetError, match="may not hold one another"):
            here(source, out)
    put(tmp_path / "full" / "something", b"")
    with pytest.raises(DatasetError, match="not empty"):
        here(source, tmp_path / "full")
    with pytest.raises(DatasetError, match="no such file"):
        here(tmp_path / "none", tmp_path / "out")
    with pytest.raises(DatasetError, match="may not lie in the output"):
        deidentify(source, tmp_path / "out", key=tmp_path / "out" / "a.key")
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(DatasetError, match="may not hold one another"):
        here(source, tmp_path / "link" / "out")


def test_another_run_of_other_options_or_key_is_not_mixed(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here(source, out)
    with pytest.raises(RunError, match="another options"):
        here(source, out, dates="shift")
    with pytest.raises(RunError, match="another key"):
        deidentify(source, out, key=tmp_path / "other.key", workers=0)


def test_members_that_climb_bombs_and_locked_archives(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../escaped.dcm", image(1))
        archive.writestr("/absolute.dcm", image(2))
        archive.writestr("bomb.dcm", b"\0" * 128 + b"DICM" + bytes(4_000_000))
        archive.writestr("good.dcm", image(3))
    put(folder / "broken.zip", b"PK\x05\x06 no archive at all")
    summary = here(folder, tmp_path / "out", max_bytes=1_000_000)
    assert summary.codes == {
        ("failed", "outside"): 2,
        ("failed", "too_large"): 1,
        ("failed", "unreadable"): 1,
    }
    assert summary.statuses["done"] == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "out.key"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_and_a_member_that_does_not_inflate(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in (1, 2, 3):
            archive.writestr("same.dcm", image(number))
        start = archive.infolist()[2].header_offset
    data = bytearray((folder / "a.zip").read_bytes())
    data[start + 200 : start + 260] = bytes(60)
    put(folder / "a.zip", bytes(data))
    summary = here(folder, tmp_path / "out")
    assert summary.statuses["done"] == 2
    assert summary.codes == {("failed", "unreadable"): 1}


def test_one_run_at_a_time(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here(source, out)
    pseudonyms = Pseudonyms((tmp_path / "out.key").read_bytes().strip())
    with (
        Manifest.open(out, Options(), pseudonyms),
        pytest.raises(RunError, match="another run is writing"),
    ):
        here(source, out)


def test_links_that_lead_outside(source: Path, tmp_path: Path) -> None:
    secret = put(tmp_path / "elsewhere" / "9.dcm", image(9))
    (source / "link.dcm").symlink_to(secret)
    summary = here(source, tmp_path / "out")
    assert summary.codes["failed", "outside"] == 1
    assert summary.statuses["done"] == 3


def test_the_private_map(source: Path, tmp_path: Path) -> None:
    where = tmp_path / "private" / "map.jsonl"
    deidentify(source, tmp_path / "out", map_file=where, workers=0)
    said = [json.loads(line) for line in where.read_text().splitlines()]
    assert {row["source"] for row in said} == {row["source"] for row in rows(tmp_path / "out")}
    assert "more.zip/DOE/3.dcm" in {row["path"] for row in said}
    assert stat.S_IMODE(where.stat().st_mode) == 0o600


def test_a_finding_keeps_the_output_back(source: Path, tmp_path: Path, monkeypatch) -> None:
    kept = {**policy.tables(), "attributes": {}, "groups": {0x0008}, "kinds": {"PN", "LO"}}
    monkeypatch.setattr(
        policy,
        "tables",
        lambda: kept | {"groups": {0x0008, 0x0028}, "kinds": {"LO", "UI", "US", "CS"}},
    )
    summary = here(source, tmp_path / "out")
    assert summary.statuses["finding"] == 3
    assert outputs(tmp_path / "out") == {}
    found = [row["findings"] for row in rows(tmp_path / "out") if row["status"] == "finding"]
    assert ["text", "StudyDescription"] in found[0]
    with pytest.raises(IdentityRisk, match="3 files were not de-identified"):
        summary.require_good()


def test_character_recognition_that_is_not_installed(source: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(running, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"vesalius\[ocr\]"):
        here(source, tmp_path / "out", clean_pixels=True)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing_half_written(source: Path, tmp_path: Path, monkeypatch):
    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        (tmp_path / "out.key").write_text("k" * 40)
        summary = here(source, tmp_path / "out")
    assert summary.codes["failed", "disk_full"] == 3
    assert outputs(tmp_path / "out") == {}
    assert here(source, tmp_path / "out").statuses == {"done": 3, "skipped": 1}


def test_a_worker_that_dies_costs_one_file(source: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(running.job, "__name__", "dying")
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    summary = deidentify(source, tmp_path / "out", workers=1)
    assert summary.codes["failed", "worker_lost"] == 1
    assert summary.statuses["done"] == 2
    monkeypatch.undo()
    assert deidentify(source, tmp_path / "out", workers=0).statuses["done"] == 3


def test_what_macos_leaves_beside_a_file_is_no_failure(source: Path, tmp_path: Path) -> None:
    before = deidentify(source, tmp_path / "before", workers=0)
    (source / "._1.dcm").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    after = deidentify(source, tmp_path / "after", workers=0)
    assert after.statuses - before.statuses == {"skipped": 1}
    assert after.statuses["failed"] == before.statuses["failed"]


def test_the_command(source: Path, tmp_path: Path) -> None:
    run, out = CliRunner(), tmp_path / "out"
    said = run.invoke(app, ["deidentify", str(source), str(out), "--workers", "1"])
    assert said.exit_code == 0, said.output
    assert "3 de-identified" in said.stdout
    assert "1 no DICOM object" in said.stdout
    assert "out.key: keep it secret" in said.stdout.replace("\n", "")
    checked = run.invoke(app, ["deidentify", str(out), "--check"])
    assert (checked.exit_code, checked.stdout) == (0, "3 files, nothing found\n")


def test_the_command_on_faults(source: Path, tmp_path: Path) -> None:
    run, out = CliRunner(), tmp_path / "out"
    put(source / "report.dcm", written(report()))
    said = run.invoke(app, ["deidentify", str(source), str(out), "--workers", "1"])
    assert isinstance(said.exception, VesaliusError)
    assert "1 files were not de-identified: 1 refused (report)" in str(said.exception)
    assert isinstance(run.invoke(app, ["deidentify", str(source)]).exception, DatasetError)
    looked = run.invoke(app, ["deidentify", str(source), "--check"])
    assert isinstance(looked.exception, IdentityRisk)
    assert SECRET not in looked.stdout
    bad = run.invoke(app, ["deidentify", str(source), str(out), "--dates", "keep"])
    assert "dates" in str(bad.exception)


CALL = "from pathlib import Path; from vesalius.data.deidentify import deidentify; import sys; "
CALL += "deidentify(Path(sys.argv[1]), Path(sys.argv[2]), key=Path(sys.argv[3]), workers=2)"


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    folder, key = tmp_path / "in", tmp_path / "a.key"
    for number in range(120):
        put(folder / f"{number}.dcm", image(number))
    deidentify(folder, tmp_path / "whole", key=key, workers=0)
    out = tmp_path / "killed"
    manifest = out / "manifest.jsonl"
    for turn in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", CALL, str(folder), str(out), str(key)],
            stderr=subprocess.DEVNULL,
        )
        while not manifest.exists() or manifest.read_bytes().count(b"\n") < 5 + 15 * turn:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert manifest.read_bytes().count(b"\n") < 120
    summary = deidentify(folder, out, key=key, workers=0)
    assert summary.statuses == {"done": 120}
    assert outputs(out) == outputs(tmp_path / "whole")
    assert len({row["source"] for row in rows(out)}) == len(rows(out)) == 120


@pytest.mark.slow
def test_memory_is_bounded_over_many_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    pixels = np.zeros((64, 64), np.uint16)
    for number in range(2000):
        put(folder / f"{number}.dcm", written(scan(pixels)))
    process, seen = psutil.Process(), []

    note = Manifest.note

    def noting(self: Manifest, file: File, row: dict) -> dict:
        seen.append(process.memory_info().rss)
        return note(self, file, row)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Manifest, "note", noting)
        deidentify(folder, tmp_path / "out", workers=0)
    assert len(seen) == 2000
    assert seen[-1] - seen[500] < 24 * 2**20
