"""Answers as DICOM Structured Reports, read back by two readers."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.cli.main import app
from vesalius.errors import DatasetError, ImageError, MissingExtra
from vesalius.run import Run
from vesalius.steps.structured_report import DISCLAIMER, Algorithm, report, write_report

sys.path.insert(0, str(Path(__file__).parents[1] / "cases"))
from scans import scan, written

from hostile import ramp

MODEL = Algorithm("nano (vilt)", "vesalius 0.1.0, weights sha256 00", ("recipe sha256 11",))
ASKED = Prediction(
    "1", Answer("Yes, at the left apex."), question="Is there a nodule?",
    confidence=Confidence(0.834, "token probability"),
)  # fmt: skip
CAPTION = Prediction("2", Answer("A chest film."))


def image(frames: int = 1, **fields: object) -> Dataset:
    return scan(np.zeros((frames, 8, 8) if frames > 1 else (8, 8), np.uint8), **fields)


def texts(made: Dataset) -> dict[str, str]:
    """The report's texts by the meaning of their concept."""
    return {
        item.ConceptNameCodeSequence[0].CodeMeaning: str(item.TextValue)
        for item in made.ContentSequence
        if item.ValueType == "TEXT"
    }


@pytest.fixture
def highdicom():
    return pytest.importorskip("highdicom")


def test_the_whole_tree_is_read_back(tmp_path, highdicom) -> None:
    source, path = image(), tmp_path / "r.dcm"
    write_report(path, ASKED, written(source), MODEL)
    made = highdicom.sr.srread(path)
    assert isinstance(made, highdicom.sr.ComprehensiveSR)
    said = texts(pydicom.dcmread(path))
    assert said["Question to a model"] == "Is there a nodule?"
    assert said["Answer of a model"] == "Yes, at the left apex."
    assert said["Limits of use"] == DISCLAIMER
    assert said["Method of confidence"] == "token probability"
    assert said["Algorithm Name"] == "nano (vilt)"
    assert said["Algorithm Version"].startswith("vesalius 0.1.0")
    assert said["Algorithm Parameters"] == "recipe sha256 11"
    kinds = [item.ValueType for item in made.content[0].ContentSequence]
    assert kinds.count("IMAGE") == kinds.count("NUM") == 1
    number = next(item for item in made.ContentSequence if item.ValueType == "NUM")
    measured = number.MeasuredValueSequence[0]
    assert measured.NumericValue == 83.4
    assert measured.MeasurementUnitsCodeSequence[0].CodeValue == "%"
    assert number.ConceptNameCodeSequence[0].CodeValue == "111012"


def test_it_is_unverified_preliminary_and_for_research(highdicom) -> None:
    made = report(ASKED, image(), MODEL)
    assert (made.VerificationFlag, made.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert (made.CompletionFlag, made.ContentQualification) == ("COMPLETE", "RESEARCH")
    assert "VerifyingObserverSequence" not in made
    assert made.SeriesDescription.startswith("Research use only")


def test_it_is_filed_under_the_pictures_patient_and_study(highdicom) -> None:
    source = image(AccessionNumber="A7")
    made = report(ASKED, source, MODEL)
    for name in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID", "StudyDate"):
        assert made[name].value == source[name].value
    assert made.AccessionNumber == "A7"
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.Modality == "SR"
    evidence = made.CurrentRequestedProcedureEvidenceSequence[0]
    assert evidence.StudyInstanceUID == source.StudyInstanceUID
    assert evidence.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
    referenced = evidence.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert referenced.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert referenced.ReferencedSOPClassUID == source.SOPClassUID


@pytest.mark.parametrize(("frame", "told"), [(None, 2), (0, 1), (2, 3)])
def test_the_frame_that_was_seen(highdicom, frame, told) -> None:
    made = report(ASKED, image(3), MODEL, frame=frame)
    seen = next(item for item in made.ContentSequence if item.ValueType == "IMAGE")
    assert int(seen.ReferencedSOPSequence[0].ReferencedFrameNumber) == told


def test_a_caption_an_abstention_and_nothing(highdicom) -> None:
    said = texts(report(CAPTION, image(), MODEL))
    assert said["Caption by a model"] == "A chest film."
    assert not {"Question to a model", "Method of confidence"} & set(said)
    unsure = Prediction("3", Answer("maybe"), question="?", abstained=True)
    assert texts(report(unsure, image(), MODEL))["Answer of a model"].startswith("(no answer: the")
    empty = Prediction("4", Answer(""), question="?")
    assert texts(report(empty, image(), MODEL))["Answer of a model"] == "(no answer)"


MARKED = Prediction(
    "5",
    Answer(
        boxes=(
            Box(1, 2, 3, 4.5, "nodule", score=0.9),
            Box(0, 0, 2, 2, "heart", polygon=((0, 0), (2, 0), (1, 2))),
        ),
        concepts=("C0028259",),
    ),
    question="Mark what you see.",
)


def regions(made: Dataset) -> list[Dataset]:
    return [
        item
        for item in made.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Region marked by a model"
    ]


def test_boxes_are_regions_of_a_measurement_report(tmp_path, highdicom) -> None:
    path = tmp_path / "r.dcm"
    write_report(path, MARKED, written(image(3)), MODEL, frame=2)
    made = highdicom.sr.srread(path)
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert made.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert texts(made)["Answer of a model"] == "(2 regions marked, 1 concept named)"
    assert texts(made)["Concept named by a model"] == "C0028259"
    assert texts(made)["Limits of use"] == DISCLAIMER
    nodule, heart = made.content.get_planar_roi_measurement_groups()
    assert (nodule.tracking_identifier, heart.tracking_identifier) == ("nodule 1", "heart 2")
    assert nodule.finding_type.meaning == "nodule"
    assert nodule.finding_type.scheme_designator == "99VESALIUS"
    (score,) = nodule.get_measurements()
    assert (score.value, score.unit.value) == (90.0, "%")
    assert heart.get_measurements() == []
    # Round the box and back to where it began.
    corners = [[1, 2], [4, 2], [4, 6.5], [1, 6.5], [1, 2]]
    assert nodule.roi.value.tolist() == corners
    assert heart.roi.value.tolist() == [[0, 0], [2, 0], [1, 2], [0, 0]]
    on = nodule.roi.ContentSequence[0]
    assert (on.ValueType, on.RelationshipType) == ("IMAGE", "SELECTED FROM")
    assert int(on.ReferencedSOPSequence[0].ReferencedFrameNumber) == 3


def test_of_a_detector_what_its_operating_point_shows_is_reported(highdicom) -> None:
    unsure = Box(0, 0, 2, 2, "a label of more than sixteen characters", score=0.2)
    answer = Answer(boxes=(Box(1, 2, 3, 4, "nodule", score=0.9), unsure))
    shown = report(Prediction("7", answer, operating_point=0.5), image(), MODEL)
    assert texts(shown)["Caption by a model"] == "(1 region marked)"
    every = report(Prediction("7", answer, operating_point=0.1), image(), MODEL)
    assert texts(every)["Caption by a model"] == "(2 regions marked)"


def test_a_basic_text_report_has_boxes_in_words(highdicom) -> None:
    made = report(MARKED, image(), MODEL, form="basic")
    assert [item.TextValue[:6] for item in regions(made)] == ["nodule", "heart:"]
    assert not any("ContentSequence" in item for item in regions(made))


def test_none_marked_is_said_and_an_abstention_marks_nothing(highdicom) -> None:
    none = Prediction("6", Answer(boxes=(), concepts=()), question="?")
    made = report(none, image(), MODEL)
    assert texts(made)["Answer of a model"] == "(no regions marked, no concepts named)"
    made = report(replace(MARKED, abstained=True), image(), MODEL)
    assert regions(made) == []
    assert "Concept named by a model" not in texts(made)


def test_a_basic_text_report_has_words_alone(tmp_path, highdicom) -> None:
    path = tmp_path / "r.dcm"
    write_report(path, ASKED, written(image()), MODEL, form="basic")
    made = pydicom.dcmread(path)
    assert made.SOPClassUID == made.file_meta.MediaStorageSOPClassUID
    assert made.SOPClassUID.name == "Basic Text SR Storage"
    allowed = {"TEXT", "CODE", "UIDREF", "IMAGE"}
    assert {item.ValueType for item in made.ContentSequence} == allowed
    assert texts(made)["Certainty of Finding"] == "83.4 %"


def test_other_scripts(tmp_path, highdicom) -> None:
    source = image(SpecificCharacterSet=["", "ISO 2022 IR 87"])
    source.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    path = tmp_path / "r.dcm"
    answer = Prediction("5", Answer("肺に結節\x1b[0m\nà gauche"), question="どこ?")
    write_report(path, answer, written(source), MODEL)
    made = pydicom.dcmread(path)
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert str(made.PatientName) == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert texts(made)["Answer of a model"] == "肺に結節[0m\nà gauche"


def test_a_source_that_says_little(highdicom) -> None:
    bare = image()
    for name in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyID",
        "StudyDate",
        "StudyTime",
    ):
        del bare[name]
    made = report(ASKED, bare, MODEL)
    assert not made.PatientID
    assert not made.StudyDate
    del bare.StudyInstanceUID
    with pytest.raises(DatasetError, match="no StudyInstanceUID"):
        report(ASKED, bare, MODEL)


def test_files_that_are_refused(tmp_path, highdicom) -> None:
    there = tmp_path / "there.dcm"
    there.write_bytes(b"x")
    with pytest.raises(DatasetError, match="not overwritten"):
        write_report(there, ASKED, written(image()), MODEL)
    assert there.read_bytes() == b"x"
    with pytest.raises(ImageError, match="a report needs a DICOM picture"):
        write_report(tmp_path / "new.dcm", ASKED, b"\x89PNG", MODEL)
    odd = image()
    odd.PatientBirthDate = "19530607"
    torn = written(odd).replace(b"19530607", b"ROE^JANE")
    with pytest.raises(ImageError, match="no report can repeat") as refused:
        write_report(tmp_path / "new.dcm", ASKED, torn, MODEL)
    assert "ROE" not in str(refused.value)
    assert not (tmp_path / "new.dcm").exists()


def test_without_highdicom(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    monkeypatch.setitem(sys.modules, "highdicom.sr", None)
    with pytest.raises(MissingExtra, match=r"vesalius\[results\]"):
        report(ASKED, image(), MODEL)


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> tuple[Path, Path]:
    """A majority baseline fitted on phantoms, and a DICOM picture."""
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "r.yaml"
    recipe.write_text(
        "name: majority\n"
        "data: {dataset: phantom, options: {cases: {train: 16, validation: 4, test: 4}}}\n"
        "model: {name: majority}\n"
    )
    done = CliRunner().invoke(app, ["fit", str(recipe), "--run", str(folder / "run")])
    assert done.exit_code == 0, repr(done.exception)
    picture = folder / "p.dcm"
    picture.write_bytes(written(image()))
    return folder / "run", picture


def test_the_command_writes_a_report(asked, tmp_path, highdicom) -> None:
    run, picture = asked
    ask = ["ask", str(picture), "is there a nodule?", "--run", str(run), "--report"]
    done = CliRunner().invoke(app, [*ask, str(tmp_path / "a.dcm")])
    assert done.exit_code == 0, repr(done.exception)
    assert "a.dcm, which names the patient" in done.stdout.replace("\n", "")
    made = pydicom.dcmread(tmp_path / "a.dcm")
    said = texts(made)
    assert said["Question to a model"] == "is there a nodule?"
    assert said["Algorithm Name"] == "majority (majority)"
    assert "weights sha256 " in said["Algorithm Version"]
    assert said["Answer of a model"] in done.stdout


def test_a_caption_of_a_frame_is_reported_as_of_that_frame(asked, tmp_path, highdicom) -> None:
    run, _ = asked
    picture = tmp_path / "five.dcm"
    picture.write_bytes(written(scan(ramp(frames=5))))
    out = tmp_path / "a.dcm"
    ask = ["ask", str(picture), "--run", str(run), "--frame", "4", "--window", "900,200"]
    done = CliRunner().invoke(app, [*ask, "--report", str(out)])
    assert done.exit_code == 0, repr(done.exception)
    made = pydicom.dcmread(out)
    assert "Referenced Frame Number" in str(made)
    assert texts(made)["Question to a model"] == Run.open(run).recipe().data.instruction
    for wrong in (["--frame", "5"], ["--window", "900"], ["--window", "900,-1"]):
        said = CliRunner().invoke(app, ["ask", str(picture), "--run", str(run), *wrong])
        assert isinstance(said.exception, ImageError), wrong


def test_the_command_refuses_before_it_asks(asked, tmp_path, monkeypatch) -> None:
    run, picture = asked
    monkeypatch.setattr("vesalius.steps.predict.ask", None)  # is not reached
    (tmp_path / "there.dcm").write_bytes(b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for image_file, out, error in (
        (picture, tmp_path / "there.dcm", DatasetError),
        (tmp_path / "p.png", tmp_path / "new.dcm", ImageError),
    ):
        said = CliRunner().invoke(
            app, ["ask", str(image_file), "?", "--run", str(run), "--report", str(out)]
        )
        assert isinstance(said.exception, error)
