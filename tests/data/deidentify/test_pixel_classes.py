"""Pictures that show who they are of by what they are: refused by default, counted if allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from planted import GREY, done
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scans import scan, written
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.data.deidentify.single import Unwanted

SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def of_frames(*types: str) -> Sequence:
    frame, group = Dataset(), Dataset()
    frame.FrameType = list(types)
    group.WholeSlideMicroscopyImageFrameTypeSequence = Sequence([frame])
    return Sequence([group])


@pytest.mark.parametrize(
    ("fields", "shows"),
    [
        ({"SOPClassUID": SLIDE, "ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]}, "label"),
        ({"SOPClassUID": SLIDE, "ImageType": ["ORIGINAL", "PRIMARY", "OVERVIEW"]}, "overview"),
        ({"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER", "NONE"], "Modality": "SM"}, "overview"),
        ({"SharedFunctionalGroupsSequence": of_frames("ORIGINAL", "PRIMARY", "LABEL")}, "label"),
        ({"SpecimenLabelInImage": "YES", "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME"]}, "label"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "SCREEN_SHOT"]}, "screen"),
        ({"ImageType": ["DERIVED", "SCREEN SAVE"]}, "screen"),
        ({"ImageType": "LABEL"}, "label"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"]}, "screen"),
        ({"ImageType": ["DERIVED", "SECONDARY", "DOSE_INFO"]}, "screen"),
        ({"SOPClassUID": CAPTURE, "ConversionType": "WSD"}, "screen"),
        ({"SOPClassUID": f"{CAPTURE}.4", "ConversionType": "DV"}, "screen"),
        ({"SOPClassUID": CAPTURE, "ConversionType": "SD"}, "document"),
        ({"SOPClassUID": CAPTURE, "ConversionType": "DRW"}, "document"),
        ({"Modality": "DOC"}, "document"),
        ({"SOPClassUID": CAPTURE, "ConversionType": "DF"}, "film"),
        ({"SOPClassUID": CAPTURE, "ConversionType": "SI"}, "film"),
        ({"Modality": "HC"}, "film"),
        ({"RecognizableVisualFeatures": "YES"}, "face"),
    ],
)  # fmt: skip
def test_it_is_refused_or_allowed_and_noted(fields: dict, shows: str) -> None:
    with pytest.raises(Unwanted) as caught:
        done(scan(GREY, **fields))
    assert caught.value.code == f"shows_{shows}"
    assert f"--allow {shows}" in str(caught.value.hint)
    other = "film" if shows != "film" else "screen"
    with pytest.raises(Unwanted):
        done(scan(GREY, **fields), allow=[other])
    assert done(scan(GREY, **fields), allow=[other, shows]).shows == [shows]


@pytest.mark.parametrize(
    ("fields", "shows"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, []),
        ({"SOPClassUID": SLIDE, "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]}, []),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "SCREENING"]}, []),
        ({"ImageType": ["DERIVED", "SECONDARY", "LOW DOSE"]}, []),
        ({"SOPClassUID": CAPTURE, "ConversionType": "SYN"}, []),
        ({"SOPClassUID": CAPTURE, "ConversionType": "DI"}, []),
        ({"SOPClassUID": CAPTURE, "ImageType": ["DERIVED", "SECONDARY"]}, ["capture"]),
        ({"SOPClassUID": f"{CAPTURE}.2"}, ["capture"]),
    ],
)
def test_what_may_pass_passes(fields: dict, shows: list[str]) -> None:
    assert done(scan(GREY, **fields)).shows == shows


def test_two_classes_need_both_to_be_allowed() -> None:
    made = scan(GREY, ConversionType="DF", RecognizableVisualFeatures="YES")
    with pytest.raises(Unwanted):
        done(made, allow=["film"])
    assert done(made, allow=["film", "face"]).shows == ["film", "face"]


def test_the_command_names_the_way_out_warns_and_counts(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.dcm").write_bytes(written(scan(GREY, ConversionType="SD")))
    (source / "b.dcm").write_bytes(written(scan(GREY, SOPClassUID=CAPTURE, StackID="doe")))
    run = CliRunner().invoke
    refused = run(app, ["deidentify", str(source), str(tmp_path / "one"), "--workers", "1"])
    assert refused.exit_code != 0
    assert "shows_document" in str(refused.exception)
    assert "--allow CLASS" in str(getattr(refused.exception, "hint", ""))
    call = [
        "deidentify",
        str(source),
        str(tmp_path / "two"),
        "--workers",
        "1",
        "--allow",
        "document",
    ]
    for _ in range(2):  # a run that goes on says the same
        allowed = run(app, call)
        assert allowed.exit_code == 0, allowed.output
        assert "warning: look at the pixels of scanned documents: 1\n" in allowed.output
        assert "secondary captures that do not say of what: 1\n" in allowed.output
        assert "texts cleared of a person's name: 1\n" in allowed.output
    rows = (tmp_path / "two" / "manifest.jsonl").read_text().splitlines()[1:]
    noted = [(row.get("shows"), row.get("names")) for row in map(json.loads, rows)]
    assert sorted(noted, key=str) == [(["capture"], {"StackID": 1}), (["document"], None)]


def test_a_class_that_is_none_is_answered_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(written(scan(GREY)))
    call = ["deidentify", str(tmp_path / "a.dcm"), str(tmp_path / "out"), "--allow", "lable"]
    result = CliRunner().invoke(app, call)
    assert "'label', 'overview', 'screen'" in str(result.exception)
