"""Studies as cases, and that no patient can be told from one."""

from __future__ import annotations

import io
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from layouts import drawing, put, put_zip
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet
from pydicom.uid import DeflatedExplicitVRLittleEndian
from scans import SECRETS, scan, written

from vesalius.cases.case import Case
from vesalius.cases.decoded import Limits
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, ImageError, RecipeError, UnknownName, VesaliusError

SLICE = np.arange(64, dtype=np.uint8).reshape(8, 8)
UID = "1.2.826.0.1.3680043.10.999.{}"


def image(number: int, pixels: np.ndarray | None = SLICE, **fields: object) -> Dataset:
    """Image ``number`` of one study of one patient, unless ``fields`` say otherwise."""
    own = {
        "SOPInstanceUID": UID.format(number),
        "SeriesInstanceUID": UID.format("5.1"),
        "StudyInstanceUID": UID.format("5"),
        "InstanceNumber": number,
    }
    return scan(pixels, **own | fields)


def study(root: Path, *files: Dataset) -> Path:
    for number, made in enumerate(files):
        put(root / "a" / f"{number}.dcm", written(made))
    return root


def read(root: Path, **options: object) -> list[Case]:
    return list(open_dataset("dicom", root, options=options).cases("all"))


def fault(root: Path, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        read(root, **options)
    assert not told(caught.value)
    return str(caught.value)


def told(said: object) -> list[str]:
    """The secrets, and the UIDs' root, that ``said`` gives away."""
    text = repr(said) + str(said)
    if isinstance(said, BaseException):
        text += repr(said.__cause__)
    return [word for word in (*SECRETS, UID.format("")) if word in text]


def test_one_case_an_image(tmp_path):
    study(tmp_path, image(1), image(2, Modality="MR"), image(3, SeriesInstanceUID=UID.format(9)))
    first, second, third = read(tmp_path)
    assert open_dataset("dicom", tmp_path).splits() == ("all",)
    assert [str(case.source) for case in (first, second, third)] == [
        "a/0.dcm", "a/1.dcm", "a/2.dcm",
    ]  # fmt: skip
    assert (first.modality, second.modality) == ("ct", "mri")
    assert first.questions == ()
    assert (first.caption, first.boxes, first.concepts, first.context) == (None, None, None, {})
    picture = first.pictures[0]
    assert (picture.view.frame, picture.pixels().size) == (None, (8, 8))
    # study/series/instance: the tree, in pseudonyms
    trees = [case.pictures[0].key.split("/") for case in (first, second, third)]
    assert len({tree[0] for tree in trees}) == 1
    assert [tree[1] == trees[0][1] for tree in trees] == [True, True, False]
    assert [tree[2] for tree in trees] == [first.id, second.id, third.id]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("CT", "ct"), ("MR", "mri"), ("CR", "x-ray"), ("DX", "x-ray"), ("US", "ultrasound"),
        ("MG", "mammography"), ("SM", "microscopy"), ("OT", None), ("", None), ("JANE DOE", None),
    ],
)  # fmt: skip
def test_modalities_in_plain_words(tmp_path, code, words):
    (case,) = read(study(tmp_path, image(1, Modality=code)))
    assert case.modality == words


def test_no_identity_comes_out(tmp_path):
    study(tmp_path, image(1), image(2, np.stack([SLICE] * 3)))
    for case in read(tmp_path, frames="all"):
        assert not told(case)
        assert not told([picture.key for picture in case.pictures])
        assert "20200229" not in repr(case)
        assert "pneumonia" not in repr(case)


def test_groups_are_patients_or_else_studies(tmp_path):
    study(
        tmp_path,
        image(1, StudyInstanceUID=UID.format("5")),
        image(2, StudyInstanceUID=UID.format("6"), PatientID="MRN0012345 "),  # padding is no sign
        image(3, PatientID="MRN0099999"),
        image(4, PatientID="", StudyInstanceUID=UID.format("5")),
        image(5, PatientID="", StudyInstanceUID=UID.format("6")),
    )
    groups = [case.group for case in read(tmp_path)]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 4


def test_another_key_gives_other_pseudonyms(tmp_path, monkeypatch):
    study(tmp_path, image(1))
    (public,) = read(tmp_path)
    (secret,) = read(tmp_path, key="s" * 100)
    names = {public.id, public.group, secret.id, secret.group}
    assert len(names) == 4
    assert read(tmp_path, key="s" * 100) == [secret]
    monkeypatch.setenv("STUDY_KEY", "s" * 100)
    assert read(tmp_path, key="env:STUDY_KEY") == [secret]
    monkeypatch.delenv("STUDY_KEY")
    with pytest.raises(RecipeError, match="STUDY_KEY is not set"):
        read(tmp_path, key="env:STUDY_KEY")
    with pytest.raises(RecipeError, match="key"):
        read(tmp_path, key="")


@pytest.mark.parametrize(
    ("frames", "chosen"), [("first", [0]), ("middle", [2]), ("all", [0, 1, 2, 3])]
)
def test_frames(tmp_path, frames, chosen):
    many = np.stack([np.full((4, 4), 50 * n, np.uint8) for n in range(4)])
    (case,) = read(study(tmp_path, image(1, many)), frames=frames)
    assert [picture.view.frame for picture in case.pictures] == chosen
    shades = [picture.pixels().getpixel((0, 0))[0] for picture in case.pictures]
    assert shades == [50 * n for n in chosen]
    assert len({picture.key for picture in case.pictures}) == len(chosen)


def test_the_default_is_the_middle_frame(tmp_path):
    (case,) = read(study(tmp_path, image(1, np.stack([SLICE] * 3))))
    assert [picture.view.frame for picture in case.pictures] == [1]


def test_endless_frames_are_refused(tmp_path):
    study(tmp_path, image(1, np.stack([SLICE] * 2), NumberOfFrames=999_999_999))
    assert "999,999,999 frames; 512 are allowed" in fault(tmp_path, frames="all")
    assert len(read(tmp_path, frames="middle")) == 1


def test_other_files_and_reports_are_passed_over(tmp_path):
    study(tmp_path, image(1), image(2, None, Modality="SR"))
    put(tmp_path / "README.txt", "Jane's scans")
    put(tmp_path / "key.png", drawing(1))
    put(tmp_path / ".DS_Store", b"\0" * 200)
    put(tmp_path / "a" / "._0.dcm", b"\0\5\x16\7")
    put(tmp_path / "empty", b"")
    assert [str(case.source) for case in read(tmp_path)] == ["a/0.dcm"]


def test_a_file_needs_no_ending(tmp_path):
    put(tmp_path / "IM0001", written(image(1)))
    assert len(read(tmp_path)) == 1


BROKEN = {
    "cut in its header": written(image(2))[:300],
    "cut in its meta header": written(image(2))[:150],
    "no DICOM at all": b"<html>",
    "no preamble": written(image(2))[132:],
    "empty": b"",
    "a length of 4 GiB": b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 2**32 - 2),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_named_or_skipped(tmp_path, kind):
    study(tmp_path, image(1))
    put(tmp_path / "b.dcm", BROKEN[kind])
    assert fault(tmp_path).startswith("b.dcm: ")
    assert [str(case.source) for case in read(tmp_path, skip_unreadable=True)] == ["a/0.dcm"]


def test_a_header_cut_anywhere_is_no_case_and_tells_nothing(tmp_path):
    whole = written(image(1))
    for end in range(132, whole.index(SLICE.tobytes()) - 12, 11):
        put(tmp_path / "b.dcm", whole[:end])
        fault(tmp_path)


def test_a_header_without_sense_is_named(tmp_path):
    made = image(1)
    del made.SOPInstanceUID
    put(tmp_path / "b.dcm", unnamed(made))
    assert fault(tmp_path).startswith("b.dcm: ")


@pytest.mark.parametrize(
    ("said", "frames"),
    [
        ("0", 1),
        ("1.0", 1),
        ("", 1),
        ("1.5", None),
        ("1\\2", None),
        ("9" * 5000, None),
        ("-1", None),
    ],
)
def test_a_frame_count_without_sense_is_the_fault_of_one_file_alone(tmp_path, said, frames):
    """The archive is read on; whoever decodes that picture names the element."""
    made = image(1)
    made.NumberOfFrames = 77
    told = f"{said} " if len(said) % 2 else said
    put(tmp_path / "a.dcm", with_frames(written(made), told.encode()))
    put(tmp_path / "b.dcm", written(image(2)))
    first, second = (case.pictures[0] for case in read(tmp_path))
    assert second.pixels().size == (8, 8)
    if frames:
        assert first.decoded().frames == frames
        return
    with pytest.raises(ImageError, match=r"NumberOfFrames \(0028,0008\) is no number of frames"):
        first.pixels()


def with_frames(data: bytes, said: bytes) -> bytes:
    """The file with other characters where its number of frames was 77."""
    element = b"\x28\x00\x08\x00IS"
    before = element + b"\x02\x0077"
    assert data.count(before) == 1
    return data.replace(before, element + len(said).to_bytes(2, "little") + said)


def unnamed(made: Dataset) -> bytes:
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=False)
    return file.getvalue()


def test_deflated_files_are_read_as_far_as_is_allowed(tmp_path, monkeypatch):
    made = image(1, np.zeros((64, 48), np.uint8))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    study(tmp_path, made)
    assert read(tmp_path)[0].pictures[0].pixels().size == (48, 64)
    monkeypatch.setattr("vesalius.data.reading.dicom_headers.DEFAULT_LIMITS", Limits(max_bytes=900))
    assert "more than the 900 bytes allowed" in fault(tmp_path)


def test_a_claimed_length_is_not_allocated(tmp_path):
    data = written(image(1))
    at = data.index(b"MRN0012345") - 8
    # PatientID as UN, of 2 GiB
    put(tmp_path / "b.dcm", data[: at + 4] + b"UN\0\0" + struct.pack("<I", 2**31) + data[at + 8 :])
    tracemalloc.start()
    try:
        fault(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()


def test_a_second_copy_of_an_image_is_named(tmp_path):
    study(tmp_path, image(1), image(1), image(2))
    assert fault(tmp_path).startswith("a/1.dcm: the same image as a/0.dcm")
    found = [str(case.source) for case in read(tmp_path, skip_unreadable=True)]
    assert found == ["a/0.dcm", "a/2.dcm"]


def test_headers_are_read_one_at_a_time(tmp_path):
    study(tmp_path, *(image(n) for n in range(3)))
    cases = open_dataset("dicom", tmp_path).cases("all")
    next(cases)
    put(tmp_path / "a" / "1.dcm", b"broken since")
    with pytest.raises(DatasetError, match=r"a/1\.dcm"):
        next(cases)


def test_a_zip_archive(tmp_path):
    members = {f"s/{n}": written(image(n)) for n in (2, 1)}
    archive = put_zip(tmp_path / "study.zip", members | {"s/notes.txt": b"-", "s/": b""})
    first, second = read(archive)
    assert [str(case.source) for case in (first, second)] == ["s/1", "s/2"]
    assert first.pictures[0].pixels().size == (8, 8)
    (beside, _) = read(tmp_path)  # archives in the folder are looked into
    assert (beside.id, str(beside.source)) == (first.id, "study.zip/s/1")


@pytest.mark.parametrize("name", ["../evil", "/abs", "a/../../b", "C:\\x"])
def test_a_zip_that_leads_outside_is_refused(tmp_path, name):
    archive = put_zip(tmp_path / "study.zip", {"s/1": written(image(1)), name: b"-"})
    with pytest.raises(DatasetError, match="leads out of the data set"):
        open_dataset("dicom", archive)


def test_the_shared_zip_slip_is_refused(shared):
    with pytest.raises(DatasetError, match="leads out of the data set"):
        open_dataset("dicom", shared / "bad_inputs" / "files" / "zip_slip.zip")


def test_a_broken_zip_is_named(tmp_path):
    put(tmp_path / "study.zip", b"PK\3\4 and no more")
    assert fault(tmp_path).startswith("study.zip: not a readable zip archive")


def test_a_damaged_member_is_named(tmp_path):
    data = written(image(1))
    archive = put_zip(tmp_path / "study.zip", {"s/1": data, "s/2": written(image(2))})
    spoilt = archive.read_bytes().replace(data[140:180], b"\xff" * 40, 1)
    archive.write_bytes(spoilt)
    assert fault(archive).startswith("s/1: cannot be read")
    assert [str(case.source) for case in read(archive, skip_unreadable=True)] == ["s/2"]


def test_a_link_that_leads_outside_is_refused(tmp_path):
    put(tmp_path / "other" / "1.dcm", written(image(1)))
    study(tmp_path / "root", image(2))
    (tmp_path / "root" / "b.dcm").symlink_to(tmp_path / "other" / "1.dcm")
    with pytest.raises(DatasetError, match=r"b\.dcm: is a link"):
        open_dataset("dicom", tmp_path / "root")


@pytest.fixture
def medium(tmp_path) -> Path:
    """A medium as a scanner writes it: a DICOMDIR, and the files it lists."""
    listed = FileSet()
    for number in (1, 2):
        listed.add(image(number, SeriesNumber=1, StudyID="1"))
    listed.write(tmp_path / "medium")
    return tmp_path / "medium"


def test_a_dicomdir(medium):
    cases = read(medium / "DICOMDIR")
    assert len(cases) == 2
    assert cases[0].pictures[0].pixels().size == (8, 8)
    assert {case.id for case in cases} == {case.id for case in read(medium)}
    put(medium / "unlisted.dcm", written(image(3)))
    assert len(read(medium / "DICOMDIR")) == 2
    assert len(read(medium)) == 3


@pytest.mark.parametrize("copied", [str.lower, "{}.dcm".format, "{}.;1".format])
def test_a_medium_as_it_is_copied(medium, copied):
    before = {case.id for case in read(medium / "DICOMDIR")}
    for path in sorted(medium.rglob("*"), reverse=True):
        if path.name != "DICOMDIR" and (path.is_file() or copied is str.lower):
            path.rename(path.with_name(copied(path.name)))
    assert {case.id for case in read(medium / "DICOMDIR")} == before


def test_a_file_missing_from_the_medium_is_named(medium):
    shutil.rmtree(next(path for path in medium.iterdir() if path.is_dir()))
    assert "cannot be read: No such file" in fault(medium / "DICOMDIR")
    assert "no DICOM image among 2 files" in fault(medium / "DICOMDIR", skip_unreadable=True)


def test_a_dicomdir_that_leads_outside_is_refused(medium):
    path = medium / "DICOMDIR"
    data = path.read_bytes()
    at = data.index(b"\x04\x00\x00\x15CS") + 6
    length = struct.unpack_from("<H", data, at)[0]
    outside = b"..\\..\\X".ljust(length)
    assert len(outside) == length
    path.write_bytes(data[: at + 2] + outside + data[at + 2 + length :])
    with pytest.raises(DatasetError, match="leads out of the data set"):
        open_dataset("dicom", path)


def test_what_is_neither_is_said(tmp_path):
    put(tmp_path / "a.dcm", written(image(1)))
    put(tmp_path / "empty" / ".keep", b"")
    for root, said in ((tmp_path / "a.dcm", "neither a folder"), (tmp_path / "empty", "no files")):
        with pytest.raises(DatasetError, match=said):
            open_dataset("dicom", root)
    put(tmp_path / "words" / "a.txt", "words")
    assert "no DICOM image among 1 files" in fault(tmp_path / "words")


def test_there_is_no_hub_form(tmp_path):
    with pytest.raises(DatasetError, match="not from a hub"):
        open_dataset("dicom", hub="somebody/scans")
    with pytest.raises(UnknownName, match="train"):
        open_dataset("dicom", study(tmp_path, image(1))).cases("train")
    with pytest.raises(VesaliusError, match="frames"):
        open_dataset("dicom", tmp_path, options={"frames": "last"})
