"""Dialogues as files, and back again through the folder reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from layouts import drawing, vqa_rad

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.picture import Picture
from vesalius.data.datasets import Dataset
from vesalius.data.dialogues import to_dialogues
from vesalius.data.open import open_dataset
from vesalius.data.reading.streams import Streams
from vesalius.data.visual_dialogue.files import write_dialogues
from vesalius.data.visual_dialogue.upgrade import upgrade
from vesalius.errors import DatasetError, ImageError, UnknownName

PHANTOM = {"cases": {"train": 6, "validation": 2, "test": 2}, "size": 40}


def turns(dataset: Dataset) -> dict[str, list[tuple]]:
    """Split -> what is asked, answered and shown, dialogue by dialogue, with case and group."""
    return {
        split: [
            (
                talk.case,
                talk.group,
                [(t.question.text, t.question.answers[0].text) for t in talk.turns],
                [picture.read() for picture in talk.pictures],
            )
            for case in dataset.cases(split)
            for talk in to_dialogues(case, "dialogue")
        ]
        for split in dataset.splits()
    }


def upgraded(dataset: Dataset) -> dict[str, list[tuple]]:
    return turns(
        Streams(
            "upgraded",
            {
                split: lambda split=split: (upgrade(case).case for case in dataset.cases(split))
                for split in dataset.splits()
            },
        )
    )


def one_case(*pictures: Picture, questions: tuple[Question, ...] | None = None) -> Streams:
    asked = questions or (Question("is there a cyst?", answers=(Answer(text="yes"),)),)
    case = Case(id="c", group="patient 7", pictures=pictures, questions=asked)
    return Streams("one", {"all": lambda: iter((case,))})


@pytest.mark.parametrize("form", ["own", "llava"])
def test_phantoms_come_back_as_they_were_upgraded(tmp_path: Path, form: str) -> None:
    dataset = open_dataset("phantom", options=PHANTOM)
    done = write_dialogues(dataset, tmp_path / "new", form=form)
    assert done.images is None  # drawn, so written
    assert turns(open_dataset("folder", tmp_path / "new")) == upgraded(dataset)
    assert dict(done.cases) == PHANTOM["cases"]


def test_ids_kinds_and_categories_come_back_in_our_own_form(tmp_path: Path) -> None:
    dataset = open_dataset("phantom", options=PHANTOM)
    write_dialogues(dataset, tmp_path / "new")
    for case in open_dataset("folder", tmp_path / "new").cases("train"):
        original = next(c for c in dataset.cases("train") if c.id == case.id)
        # a reader gives the places of its own rows; all else is the same
        assert case.questions == upgrade(original).case.questions
        assert (case.caption, case.concepts) == (original.caption, original.concepts)
        assert dict(case.context) == dict(original.context)


def test_pictures_that_are_files_are_referred_to(tmp_path: Path) -> None:
    vqa_rad(tmp_path / "set")
    dataset = open_dataset("vqa_rad", tmp_path / "set")
    done = write_dialogues(dataset, tmp_path / "new", source=tmp_path / "set")
    assert done.images == tmp_path / "set"
    assert not (tmp_path / "new" / "images").exists()
    again = open_dataset("folder", tmp_path / "new", options={"images": str(done.images)})
    assert turns(again) == upgraded(dataset)
    copied = write_dialogues(dataset, tmp_path / "copy")  # no source: nothing to refer to
    assert copied.images is None
    assert turns(open_dataset("folder", tmp_path / "copy")) == upgraded(dataset)


def test_a_look_alike_below_the_source_is_not_referred_to(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(drawing(1))
    data = drawing(2)
    write_dialogues(one_case(Picture("a.png", lambda: data)), tmp_path / "new", source=tmp_path)
    (case,) = open_dataset("folder", tmp_path / "new").cases("all")
    assert case.pictures[0].read() == data


def test_several_pictures_and_dicom(tmp_path: Path, dicom: bytes) -> None:
    first, second = drawing(1), drawing(2)
    dataset = one_case(
        Picture("x/a.png", lambda: first),
        Picture("x/a.jpg", lambda: second),
        Picture("scan.dcm", lambda: dicom),
    )
    for form, name in (("own", "all.jsonl"), ("llava", "all.json")):
        out = tmp_path / form
        write_dialogues(dataset, out, form=form)
        assert (out / name).exists()
        (case,) = open_dataset("folder", out).cases("all")
        assert [p.key for p in case.pictures] == [
            "images/x_a.png", "images/x_a~2.png", "images/scan.png",
        ]  # fmt: skip  # the second is a PNG, whatever it was called
        assert case.pictures[2].pixels().size == (4, 4)
        assert b"DOE" not in case.pictures[2].read()  # no header travels
        assert case.group == "patient 7"
    (row,) = json.loads((tmp_path / "llava" / "all.json").read_text())
    assert row["conversations"][0]["value"].startswith("<image>\n<image>\n<image>\nis there")


@pytest.fixture
def dicom() -> bytes:
    from io import BytesIO

    import numpy as np
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    made = pydicom.Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.SOPClassUID = SecondaryCaptureImageStorage
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID
    made.PatientName = "DOE^JANE"
    made.Rows = made.Columns = 4
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit, made.PixelRepresentation = 7, 0
    made.PixelData = np.arange(16, dtype=np.uint8).tobytes()
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def test_what_was_dropped_is_listed_and_counted(tmp_path: Path) -> None:
    questions = tuple(
        Question(text, id=str(n), answers=(Answer(text=answer),))
        for n, (text, answer) in enumerate(
            [
                ("what modality is this?", "ct"),
                ("is this a ct?", "yes"),
                ("is there a cyst?", "yes"),
                ("Is there a cyst?", "Yes"),
                ("is there a mass?", "no"),
                ("is a mass present?", "yes"),
            ]
        )
    )
    data = drawing(1)
    dataset = one_case(Picture("a", lambda: data), questions=questions)
    done = write_dialogues(dataset, tmp_path / "new", writer=lambda _: "The mass is malignant.")
    assert dict(done.dropped) == {"duplicate": 1, "contradiction": 2}
    assert (done.unsupported, done.pairs, done.worded) == (1, 3, 3)
    report = tmp_path / "new" / "report"
    rows = [json.loads(line) for line in (report / "dropped.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["pairs"][0]["id"]) for row in rows] == [
        ("duplicate", "3"), ("contradiction", "4"), ("contradiction", "5"),
    ]  # fmt: skip
    (line,) = (report / "unsupported.jsonl").read_text().splitlines()
    assert json.loads(line)["sentence"] == "The mass is malignant."
    counts = json.loads((report / "report.json").read_text())
    assert counts["dropped"] == dict(done.dropped)


def test_other_splits_share_one_table(tmp_path: Path) -> None:
    data = drawing(1)
    (base,) = one_case(Picture("a", lambda: data)).cases("all")
    dataset = Streams(
        "folds", {f"fold{n}": lambda n=n: iter((replace(base, id=f"c{n}"),)) for n in range(3)}
    )
    write_dialogues(dataset, tmp_path / "new")
    again = open_dataset("folder", tmp_path / "new")
    assert again.splits() == ("fold0", "fold1", "fold2")
    assert [case.id for case in again.cases("fold1")] == ["c1"]


def test_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> bytes:
        raise ImageError("image_missing", "gone", where="a")

    with pytest.raises(ImageError, match="gone"):
        write_dialogues(one_case(Picture("a", broken)), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").touch()
    data = drawing(1)
    good = one_case(Picture("a", lambda: data))
    with pytest.raises(DatasetError, match="not empty"):
        write_dialogues(good, tmp_path / "new")
    with pytest.raises(UnknownName, match="did you mean llava"):
        write_dialogues(good, tmp_path / "other", form="lava")
