"""An archive on loopback, asked through the real client: pages, resuming, bounds, results."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid
from scans import SECRETS, scan
from typer.testing import CliRunner

pytest.importorskip("dicomweb_client", reason="the extra dicomweb is not installed")
sys.path.insert(0, str(Path(__file__).parent))

from archive_server import serving

from vesalius.cli.main import app
from vesalius.data.dicomweb import archive as module
from vesalius.data.dicomweb import pull as pulling
from vesalius.data.dicomweb.archive import client_of
from vesalius.data.dicomweb.pull import pull
from vesalius.data.dicomweb.push import push
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, MissingExtra

SR = "1.2.840.10008.5.1.4.1.1.88.33"


def scans(number=5, **fields):
    first = scan(np.full((8, 8), 3, np.uint16), **fields)
    places = {
        "StudyInstanceUID": first.StudyInstanceUID,
        "SeriesInstanceUID": first.SeriesInstanceUID,
    }
    return [scan(np.full((8, 8), value, np.uint16), **places, **fields) for value in range(number)]


@pytest.fixture
def archive():
    with serving([*scans(), *scans(2, Modality="MR")]) as running:
        yield running


def test_pictures_come_page_by_page_and_are_a_data_set(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "PAGE", 2)
    done = pull(archive.url, tmp_path / "out", limit=100)
    assert (done.new, done.here, done.failures, done.more) == (7, 0, {}, False)
    dataset = open_dataset("dicom", tmp_path / "out")
    pictures = [case.pictures[0].pixels() for case in dataset.cases("all")]
    assert len(pictures) == 7
    names = " ".join(path.name for path in (tmp_path / "out").iterdir())
    assert not any(uid in names for uid in archive.scans)


def test_filters_and_the_limit_hold_and_more_is_told(archive, tmp_path):
    assert pull(archive.url, tmp_path / "mr", filters={"Modality": "MR"}, limit=100).new == 2
    study = next(iter(archive.scans.values())).StudyInstanceUID
    own = pull(archive.url, tmp_path / "s", filters={"StudyInstanceUID": study}, limit=100)
    assert own.new == 5
    few = pull(archive.url, tmp_path / "few", limit=3)
    assert (few.new, few.more) == (3, True)


def test_what_stopped_goes_on_and_nothing_is_fetched_twice(archive, tmp_path):
    third = list(archive.scans)[2]
    archive.odd[third] = 500
    first = pull(archive.url, tmp_path, limit=100)
    assert (first.new, first.failures) == (6, {"answered 500": 1})
    archive.odd.clear()
    archive.requests.clear()
    second = pull(archive.url, tmp_path, limit=100)
    assert (second.new, second.here, second.failures) == (1, 6, {})
    fetched = [path for path in archive.requests if path.split("/")[-2] == "instances"]
    assert [path.rpartition("/")[2] for path in fetched] == [third]


def test_what_is_no_dicom_or_another_object_is_counted_and_not_written(archive, tmp_path):
    from scans import written

    one, two, *_ = archive.scans
    archive.odd[one] = b"not dicom at all"
    archive.odd[two] = written(archive.scans[list(archive.scans)[3]])
    done = pull(archive.url, tmp_path, limit=100)
    assert done.new == 5
    assert done.failures["another object than was asked for"] == 1
    assert sum(done.failures.values()) == 2
    assert len(list(tmp_path.iterdir())) == 5


def test_an_object_that_is_too_large_is_let_go_and_the_others_come(tmp_path, monkeypatch):
    monkeypatch.setattr(pulling, "client_of", partial(client_of, most_bytes=4096))
    with serving([*scans(2), scan(np.ones((64, 64), np.uint16))]) as archive:
        done = pull(archive.url, tmp_path, limit=100)
    assert (done.new, done.failures) == (2, {"an answer of more than 4,096 bytes": 1})


def test_a_list_that_is_too_large_is_one_line(archive):
    client = client_of(archive.url, most_bytes=10)
    with pytest.raises(DatasetError, match="more than 10 bytes"):
        client.search_for_series()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://x", "begins with http"),
        ("http://user:secret@x/dicom-web", "holds a login"),
        ("http://127.0.0.1:9/dicom-web", "cannot be reached"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(url, words, tmp_path):
    with pytest.raises(DatasetError, match=words) as caught:
        pull(url, tmp_path, limit=1)
    assert "secret" not in str(caught.value)


def test_a_refusal_repeats_no_uid_and_names_the_token(archive, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(module.TOKEN, "a-token")
    archive.odd["instances"] = 401
    with pytest.raises(DatasetError, match="answered 401") as caught:
        pull(archive.url, tmp_path, limit=1)
    assert module.TOKEN in str(caught.value.hint)
    assert archive.tokens[-1] == "Bearer a-token"
    told = str(caught.value) + "".join(capfd.readouterr())
    assert not any(word in told for word in (*archive.scans, *SECRETS, "a-token"))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>a page</html>", "no JSON"),
        (b"[1, 2]", "none of DICOM's"),
        (b'[{"0020000D": {"vr": "UI"}}]', "a series without its UIDs"),
        (b'[{"0020000D": 5}]', "a series without its UIDs"),
    ],
)
def test_a_list_that_is_none_is_one_line(archive, tmp_path, body, words):
    archive.odd["series"] = body
    with pytest.raises(DatasetError, match=words):
        pull(archive.url, tmp_path, limit=1)


def test_an_archive_that_stays_busy_is_asked_three_times(archive, tmp_path):
    archive.odd["series"] = 503
    with pytest.raises(DatasetError, match="busy, also the third time"):
        pull(archive.url, tmp_path, limit=1)
    assert len(archive.requests) == 3


def test_without_the_extra_the_command_that_installs_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "dicomweb_client", None)
    with pytest.raises(MissingExtra) as caught:
        pull("http://127.0.0.1:9", tmp_path / "out", limit=1)
    assert "vesalius[dicomweb]" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()


def report(path, **fields):
    made = scan(Modality="SR", **fields)
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = SR
    made.save_as(path, enforce_file_format=True)
    return path


def test_results_are_stored(archive, tmp_path):
    path = report(tmp_path / "a.dcm")
    assert push(archive.url, [path]) == 1
    (stored,) = archive.stored
    assert stored == pydicom.dcmread(path)


def test_pictures_and_what_is_no_dicom_are_not_sent(archive, tmp_path):
    good = report(tmp_path / "a.dcm")
    scan(np.ones((8, 8), np.uint16)).save_as(tmp_path / "ct.dcm", enforce_file_format=True)
    (tmp_path / "text.dcm").write_bytes(b"no")
    for bad, words in (("ct.dcm", "neither a structured report"), ("text.dcm", "not a DICOM file")):
        with pytest.raises(DatasetError, match=words):
            push(archive.url, [good, tmp_path / bad])
    assert archive.stored == []


def test_a_result_that_the_archive_does_not_take_is_told_with_its_reason(archive, tmp_path):
    archive.fail_store = 0xA700
    with pytest.raises(DatasetError, match="reason 0xa700"):
        push(archive.url, [report(tmp_path / "a.dcm", SOPInstanceUID=generate_uid())])


def test_the_commands_tell_what_came_and_what_comes_next(archive, tmp_path):
    runner = CliRunner()
    words = ["data", "pull", archive.url, str(tmp_path / "out"), "--filter", "Modality=MR"]
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "2 files fetched, 0 were here already" in done.output
    assert "vesalius deidentify" in done.output
    archive.odd[next(iter(archive.scans))] = 500
    again = runner.invoke(app, ["data", "pull", archive.url, str(tmp_path / "out")])
    assert again.exit_code == 1
    assert "1 not fetched: answered 500" in again.output
    sent = runner.invoke(app, ["data", "push", archive.url, str(report(tmp_path / "a.dcm"))])
    assert (sent.exit_code, sent.output.strip()) == (0, "1 stored")
