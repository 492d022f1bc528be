"""The second reader finds what the first one might have left."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from planted import GREY, SECRET, code, done, full, jpeg
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian
from scans import scan, written

from vesalius.data.deidentify.identifiers import identifiers
from vesalius.data.deidentify.independent_parser import Broken, inflated, pieces
from vesalius.data.deidentify.verify import Finding, check


def again(data: bytes, **fields: object) -> bytes:
    """A clean output into which fields were put back."""
    made = pydicom.dcmread(io.BytesIO(data))
    for name, value in fields.items():
        if isinstance(value, tuple):
            made.add_new(*value)
        else:
            setattr(made, name, value)
    return written(made)


SOURCE = written(full())
CLEAN = done(SOURCE).data


def codes(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found}


def test_a_clean_file_is_clean() -> None:
    assert check(CLEAN) == check(CLEAN, SOURCE) == []


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"PatientName": "DOE^JANE"}, "name", "PatientName"),
        ({"SeriesDescription": "of Ms. doe"}, "name", "SeriesDescription"),
        ({"ManufacturerModelName": "mrn0012345 "}, "id", "ManufacturerModelName"),
        ({"RescaleType": "MRN0012345".encode("utf-16-le").decode("latin-1")}, "id", "RescaleType"),
        ({"ConvolutionKernel": "29.02.2020"}, "date", "ConvolutionKernel"),
        ({"StudyDate": "20200229"}, "da_left", "StudyDate"),
        ({"StudyTime": "101010"}, "tm_left", "StudyTime"),
        ({"FrameOfReferenceUID": "1.2.3.4.5.6"}, "ui_left", "FrameOfReferenceUID"),
        ({"OperatorsName": "Somebody"}, "pn_left", "OperatorsName"),
        ({"Manufacturer": "ST ELSEWHERE"}, "place", "file"),
        ({"private": (0x00091001, "LO", "x")}, "private", "(0009,....)"),
        ({"overlay": (0x60003000, "OW", b"xx")}, "overlay", "OverlayData"),
        ({"padding": (0xFFFCFFFC, "OB", b"xx")}, "forbidden", "DataSetTrailingPadding"),
        ({"PatientIdentityRemoved": "NO"}, "not_declared", "PatientIdentityRemoved"),
        ({"PixelData": b"JANE" + b"DOE^JANE" + bytes(244)}, "name", "PixelData"),
    ],
)
def test_what_is_put_back_is_found(fields: dict, code: str, where: str) -> None:
    found = check(again(CLEAN, **fields), SOURCE)
    if code == "place":  # the institution's name in a technical element is let pass
        assert found == []
    else:
        assert Finding(code, where) in found


def test_a_name_below_sequences_and_in_a_private_element_of_bytes() -> None:
    item = Dataset()
    item.add_new(0x00111001, "UN", b"DOE^JANE")
    outer = Dataset()
    outer.SourceImageSequence = Sequence([item])
    found = check(again(CLEAN, SourceImageSequence=Sequence([outer])), SOURCE)
    assert Finding("name", "(0011,....)") in found
    assert Finding("private", "(0011,....)") in found


def test_preamble_trailing_bytes_and_comments() -> None:
    assert codes(check(b"MZ" + CLEAN[2:])) == {"preamble"}
    assert codes(check(CLEAN + b"trailing bytes")) == {"unreadable"}
    made = jpeg(b"a comment")
    dirty = pydicom.dcmread(io.BytesIO(done(made).data))
    dirty.PixelData = made.PixelData
    assert Finding("comment", "PixelData") in check(written(dirty))


def test_dates_that_were_moved_are_allowed_and_no_others() -> None:
    out = done(SOURCE, dates="shift")
    assert check(out.data, SOURCE, out.dates) == check(out.data) == []
    assert codes(check(out.data, SOURCE, frozenset())) >= {"da_left", "dt_left"}
    back = again(out.data, StudyDate="20200229")
    assert codes(check(back, SOURCE, out.dates)) == {"date", "da_left"}


def test_findings_name_no_value() -> None:
    found = check(again(CLEAN, PatientName="DOE^JANE", StudyDate="20200229"), SOURCE)
    assert "DOE" not in repr(found)
    assert "2020" not in repr(found)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_the_reader_reads_what_pydicom_wrote(syntax: str) -> None:
    made = full(GREY.astype(np.uint16))
    made.file_meta.TransferSyntaxUID = syntax
    made["SourceImageSequence"].is_undefined_length = True
    data = written(made)
    found = list(pieces(data))
    texts = [data[piece.start : piece.end].strip() for piece in found]
    assert b"DOE^JANE" in texts
    assert max(piece.depth for piece in found) == 3
    assert sum(1 for piece in found if SECRET.encode() in data[piece.start : piece.end]) > 12
    assert inflated(data) is data


@pytest.mark.parametrize("cut", [140, 200, 700, 1500])
def test_the_reader_stops_at_a_broken_byte(cut: int) -> None:
    with pytest.raises(Broken):
        list(pieces(SOURCE[:cut] + b"\xff" * 10))


def test_traces_of_every_kind() -> None:
    found = identifiers(SOURCE)
    assert found.whole
    assert {trace.kind for trace in found.values} >= {"name", "id", "date", "uid", "text"}
    forms = {form for trace in found.values for form in trace.forms}
    assert {b"doe^jane", b"mrn0012345", b"19700101", b"01/01/1970"} <= forms
    assert {"doe", "jane"} <= found.names.parts


def test_words_that_say_nothing_are_no_traces() -> None:
    made = scan(GREY, PatientName="Anonymous", Manufacturer="Acme", InstitutionName="Acme")
    found = identifiers(written(made))
    assert not found.names.parts
    assert not [trace for trace in found.values if trace.kind in {"name", "place"}]


def test_a_species_is_no_patients_number() -> None:
    made = scan(GREY, PatientSpeciesDescription="homo sapiens")
    made.PatientSpeciesCodeSequence = Sequence([code("337915000", "SCT", "homo sapiens")])
    source = written(made)
    out = done(source)
    assert check(out.data, source, out.dates) == []
    assert b"homo sapiens" in out.data
