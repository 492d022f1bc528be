"""One object: nothing of the patient in any byte of it, and the pixels as they were."""

from __future__ import annotations

import io
import random
import struct
from datetime import date, timedelta

import numpy as np
import pydicom
import pytest
from planted import GREY, KEY, OTHER, SECRET, code, deep, done, full, jpeg, report
from pydicom.data import get_testdata_files
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from scans import SECRETS, scan, written

from vesalius.data.deidentify.operators import element
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.policy import tables
from vesalius.data.deidentify.single import Unwanted, deidentify_object
from vesalius.data.deidentify.verify import check
from vesalius.errors import ImageError

UIDS = (b"1.2.3.444.55555",)
DATES = (b"20200229", b"20200301", b"20191231", b"19700101")


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def left(data: bytes, *more: bytes) -> list[bytes]:
    """The planted values that are anywhere in the bytes, in any case and as UTF-16."""
    lowered = data.lower()
    words = [SECRET.encode(), *(secret.encode() for secret in SECRETS), *UIDS, *more]
    forms = [form for word in words for form in (word, word.decode("latin-1").encode("utf-16-le"))]
    return [form for form in forms if form.lower() in lowered]


def as_syntax(made: Dataset, syntax: str) -> bytes:
    file = io.BytesIO()
    made.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
    ],
)
@pytest.mark.parametrize("options", [{}, {"dates": "shift"}])
def test_nothing_planted_is_left_and_no_pixel_is_changed(syntax: str, options: dict) -> None:
    pixels = GREY.astype(np.uint16) * 16
    made = done(as_syntax(full(pixels), syntax), **options)
    assert not left(made.data, *DATES)
    assert check(made.data) == []
    out = read(made.data)
    assert np.array_equal(out.pixel_array, pixels)
    assert not any(element.tag.is_private for element in out.iterall())
    assert out.file_meta.MediaStorageSOPInstanceUID == out.SOPInstanceUID
    kept_syntax = ExplicitVRLittleEndian if syntax == DeflatedExplicitVRLittleEndian else syntax
    assert out.file_meta.TransferSyntaxUID == kept_syntax


def test_it_says_what_was_done() -> None:
    out = read(done(full()).data)
    assert out.PatientName == out.PatientID == KEY.patient("MRN0012345")
    assert out.PatientIdentityRemoved == "YES"
    assert out.LongitudinalTemporalInformationModified == "REMOVED"
    assert [code.CodeValue for code in out.DeidentificationMethodCodeSequence] == ["113100"]
    assert out.DeidentificationMethod[0].startswith("Vesalius ")
    assert (
        read(done(full(), dates="shift").data).LongitudinalTemporalInformationModified == "MODIFIED"
    )
    assert (out.PatientBirthDate, out.StudyDate, out.PatientSex) == ("", "", "")
    assert "PatientAge" not in out
    assert (out.Modality, int(out.Rows)) == ("CT", 16)


def test_every_text_of_the_dictionary_is_planted_and_gone() -> None:
    samples = {
        **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC", "PN", "UR"), SECRET),
        **dict.fromkeys(("OB", "UN"), b"PLANTED!"),
        "AE": SECRET,
        "AS": "087Y",
        "DA": "19981231",
        "DT": "19981231101010",
        "TM": "070809.123",
        "UI": "1.2.3.444.55555.7",
    }
    made, kept = scan(GREY), tables()["keep"]
    for number, (representation, _, _, _, keyword) in DicomDictionary.items():
        technical = keyword in kept or number >> 16 in {0, 2, 4} or number in made
        if representation in samples and not technical and keyword != "EncapsulatedDocument":
            made.add_new(number, representation, samples[representation])
    assert len(made) > 1000
    out = done(made)
    assert not left(out.data, b"19981231", b"070809", b"087Y")
    assert check(out.data) == []


def test_sequences_are_cleaned_at_every_depth() -> None:
    out = read(done(full()).data)
    item = out.SourceImageSequence[0].SourceImageSequence[0].SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == KEY.uid("1.2.3.444.55555.1")
    assert item.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"
    assert out.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121324"
    assert "PatientName" not in item or not item.PatientName


def test_a_picture_within_a_sequence_is_removed() -> None:
    made = scan(GREY)
    item = deep(1)
    item.BitsAllocated, item.PixelData = 8, SECRET.encode() + b" "
    made.SourceImageSequence = Sequence([item])
    out = done(made)
    assert not left(out.data)
    assert out.tally["X", "PixelData"] == 1


def test_sequences_deeper_than_any_object_needs_are_removed_not_followed() -> None:
    made = scan(GREY)
    made.SourceImageSequence = Sequence([deep(60)])
    out = done(made)
    assert not left(out.data)
    assert check(out.data) == []


def test_sequences_of_undefined_length_and_of_unknown_representation() -> None:
    made = full()
    made["SourceImageSequence"].is_undefined_length = True
    data = written(made)
    inner = b"\x08\x00\x96\x01LO\x06\x00" + b"CRETS!"
    tail = struct.pack("<HH2sHI", 0x0040, 0x0275, b"UN", 0, 0xFFFFFFFF)
    tail += struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
    tail += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    cut = data.index(struct.pack("<HH", 0x5000, 0x3000))
    assert not left(done(data[:cut] + tail + data[cut:]).data, b"CRETS!")


def test_bytes_before_and_after_the_data_set() -> None:
    data = written(full())
    data = (SECRET.encode() * 20)[:128] + data[128:]
    padded = data + struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 8) + b"PLANTED "
    assert not left(done(padded).data)


def test_bytes_past_the_last_pixel() -> None:
    made = full()
    made.PixelData += SECRET.encode() + b" "
    out = done(made)
    assert not left(out.data)
    assert out.tally["C", "PixelData"] == 1
    assert len(read(out.data).PixelData) == 256


@pytest.mark.parametrize("signed", [False, True])
def test_bits_that_no_pixel_uses(signed: bool) -> None:
    values = (np.arange(256).reshape(16, 16) * 16 - (2048 if signed else 0)).astype(
        np.int16 if signed else np.uint16
    )
    made = scan(values, BitsStored=12, HighBit=11, PixelRepresentation=int(signed))
    assert done(made).tally["K", "PixelData"] == 1  # copies of the sign are not passengers
    hidden = values.view(np.uint16) ^ 0xA000
    made.PixelData = hidden.tobytes()
    out = read(done(made).data)
    assert np.array_equal(np.frombuffer(out.PixelData, values.dtype).reshape(16, 16), values)


def test_values_are_kept_only_if_they_are_what_they_should_be() -> None:
    made = scan(GREY, SliceThickness="2.5", PatientPosition="HFS")
    made.add(element(0x00180015, "CS", "Doe, Jane b. 1970"))  # BodyPartExamined
    made.add(element(0x00180060, "LO", "Jane"))  # KVP
    made.add(element(0x00280030, "LO", "Jane Doe"))  # PixelSpacing
    made.add(element(0x00280002, "US", [1, *struct.unpack("<2H", b"Jane")]))  # SamplesPerPixel
    made.add(element(0x00280010, "US", 16))
    made.add(element(0x00280106, "US", list(struct.unpack("<4H", b"Jane Doe"))))
    made.add_new(0x00080008, "CS", ["ORIGINAL", "PRIMARY"])
    del made.PixelData
    out = read(done(made).data)
    assert b"Jane" not in done(made).data
    assert (out.SliceThickness, out.PatientPosition, list(out.ImageType)) == (
        2.5, "HFS", ["ORIGINAL", "PRIMARY"],
    )  # fmt: skip
    gone = {"BodyPartExamined", "KVP", "PixelSpacing", "SamplesPerPixel"}
    assert not gone & {kept.keyword for kept in out}


def test_codes_of_a_sites_own_are_removed() -> None:
    made = scan(GREY)
    made.ProcedureCodeSequence = Sequence(
        [code("77477000", "SCT", "Computed tomography"), code("X1", "99SITE", SECRET)]
    )
    out = read(done(made).data)
    assert [item.CodeValue for item in out.ProcedureCodeSequence] == ["77477000"]


@pytest.mark.parametrize("frames", [1, 3])
def test_comments_in_jpeg(frames: int) -> None:
    made = jpeg(SECRET.encode(), frames)
    out = done(made)
    assert not left(out.data)
    assert check(out.data, written(made), out.dates) == []
    assert np.array_equal(read(out.data).pixel_array, read(written(made)).pixel_array)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless])
@pytest.mark.parametrize("bits", [8, 16])
def test_other_compressions(syntax: str, bits: int) -> None:
    large = np.tile(GREY, (4, 4))
    pixels = (large.astype(np.uint16) * 200) if bits == 16 else large
    made = full(np.stack([pixels, pixels[::-1]]))
    made.compress(syntax, generate_instance_uid=False)
    if syntax == JPEG2000Lossless:
        said = b"\xff\x64" + struct.pack(">HH", 4 + 7, 1) + SECRET.encode()
        made.PixelData = _spliced(made.PixelData, said)
    data = written(made)
    assert (SECRET.encode() in made.PixelData) == (syntax == JPEG2000Lossless)
    out = done(data)
    assert not left(out.data)
    assert np.array_equal(read(out.data).pixel_array, np.stack([pixels, pixels[::-1]]))
    plain = read(out.data).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert plain == (syntax == RLELossless)


def _spliced(encapsulated: bytes, comment: bytes) -> bytes:
    frames = []
    for frame in generate_frames(encapsulated, number_of_frames=2):
        at = 4 + int.from_bytes(frame[4:6], "big")  # after SOC and SIZ
        frames.append(frame[:at] + comment + frame[at:])
    return encapsulate(frames)


def test_a_lossless_stream_with_more_bits_than_are_stored_is_opened_and_masked() -> None:
    values = np.tile(GREY, (4, 4)).astype(np.uint16) * 16
    made = scan(values | 0x8000)
    made.compress(JPEG2000Lossless, generate_instance_uid=False)
    made.BitsStored, made.HighBit = 12, 11
    out = read(done(written(made)).data)
    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert np.array_equal(np.frombuffer(out.PixelData, np.uint16).reshape(64, 64), values)


def test_japanese_names_in_any_writing() -> None:
    made = scan(GREY, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    made.PatientName = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    made.StudyDescription = "山田太郎さん"
    made.SourceImageSequence = Sequence([Dataset()])
    made.SourceImageSequence[0].PatientName = "Yamada^Tarou=山田^太郎"
    data = written(made)
    assert "山田".encode("iso2022_jp")[3:-3] in data
    out = done(data)
    for codec in ("iso2022_jp", "euc_jp", "cp932", "utf-8", "utf-16-le"):
        assert "山田".encode(codec).strip(b"\x1b$B()J") not in out.data
    assert check(out.data, data, out.dates) == []
    assert "SpecificCharacterSet" not in read(out.data)


def test_kept_text_in_other_scripts_is_written_as_unicode() -> None:
    made = scan(GREY, SpecificCharacterSet="ISO_IR 100", Manufacturer="Gerätebau")
    out = read(done(made).data)
    assert (out.SpecificCharacterSet, out.Manufacturer) == ("ISO_IR 192", "Gerätebau")


def test_the_same_identity_is_the_same_pseudonym_across_files() -> None:
    first, second = scan(GREY), scan(GREY, Modality="MR")
    second.StudyInstanceUID = first.StudyInstanceUID
    second.FrameOfReferenceUID = first.FrameOfReferenceUID = "1.2.3.444.55555.77"
    one, two = (read(done(made).data) for made in (first, second))
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.SOPInstanceUID != two.SOPInstanceUID
    other = read(done(first, OTHER).data)
    assert other.StudyInstanceUID != one.StudyInstanceUID
    assert other.PatientID != one.PatientID


def test_shifted_dates_keep_their_intervals() -> None:
    made = full()
    out = done(made, dates="shift")
    data, days = read(out.data), KEY.days("MRN0012345")

    def moved(said: str) -> str:
        return f"{date.fromisoformat(said) + timedelta(days):%Y%m%d}"

    assert data.StudyDate == moved("20200229")
    assert data.AcquisitionDate == moved("20200301")
    assert str(data.AcquisitionDateTime) == moved("20200301") + "111213.500000+0100"
    assert (data.AcquisitionTime, data.PatientBirthDate) == ("111213.5", "")
    assert out.dates == {moved("20200229"), moved("20200301"), moved("20191231")}
    assert check(out.data, written(made), out.dates) == []


def test_what_is_de_identified_already_can_be_again() -> None:
    first = done(full(), dates="shift")
    second = done(first.data, OTHER, dates="shift")
    assert check(second.data, first.data, second.dates) == []
    assert read(second.data).PatientID == OTHER.patient(read(first.data).PatientID)


def test_what_may_be_retained() -> None:
    made = full(DeviceSerialNumber="UNIT 7781")
    options = {"retain_uids": True, "retain_device": True, "retain_characteristics": True}
    out = done(made, **options)
    data = read(out.data)
    assert data.StudyInstanceUID == made.StudyInstanceUID
    assert data.DeviceSerialNumber == "UNIT 7781"
    assert (data.PatientAge, data.PatientSex, data.PatientWeight) == ("090Y", "F", 61.5)
    assert made.StudyInstanceUID not in out.path
    assert "AccessionNumber" not in data or data.AccessionNumber == ""
    assert check(out.data, written(made), out.dates) == []


def test_the_path_is_of_pseudonyms_alone() -> None:
    made = full()
    out = done(made)
    patient, study, series, instance = out.path.split("/")
    assert patient == KEY.patient("MRN0012345")
    assert (study, series) == (KEY.uid(made.StudyInstanceUID), KEY.uid(made.SeriesInstanceUID))
    assert instance == KEY.uid(made.SOPInstanceUID) + ".dcm"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1"}, "document"),
        ({"EncapsulatedDocument": b"%PDF-1.4"}, "document"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66"}, "document"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1"}, "document"),
        ({"SOPClassUID": "1.2.276.0.7230010.3.1.0.1"}, "class_unknown"),
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"ContentSequence": Sequence([Dataset()])}, "report"),
    ],
)
def test_objects_that_are_refused(fields: dict, reason: str) -> None:
    with pytest.raises(Unwanted) as caught:
        done(scan(GREY, **fields))
    assert caught.value.code == reason


def test_a_segmentation_is_no_raw_data() -> None:
    assert done(scan(GREY, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"))


def test_reports_are_refused_or_cleaned() -> None:
    with pytest.raises(Unwanted, match="structured report"):
        done(report())
    out = done(report(), keep_reports=True)
    assert not left(out.data, *DATES)
    kinds = [item.ValueType for item in read(out.data).ContentSequence]
    assert kinds == ["UIDREF", "CODE", "NUM", "CONTAINER"]
    assert check(out.data, written(report()), out.dates) == []
    number = read(out.data).ContentSequence[2].MeasuredValueSequence[0].NumericValue
    assert number == 12.5
    shifted = read(done(report(), keep_reports=True, dates="shift").data).ContentSequence
    assert [item.ValueType for item in shifted] == ["DATE", "UIDREF", "CODE", "NUM", "CONTAINER"]


def test_the_tally_repeats_no_word_of_the_file() -> None:
    made = report()
    made.ContentSequence[0].ValueType = "DOEJANE"
    tally = done(made, keep_reports=True).tally
    assert tally["X", "ContentSequence other"] == 1
    assert "DOEJANE" not in repr(tally)


def test_a_content_item_that_points_by_position_is_removed() -> None:
    made = report()
    pointer = Dataset()
    pointer.RelationshipType, pointer.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 1]
    made.ContentSequence.append(pointer)
    out = read(done(made, keep_reports=True).data)
    assert all("ReferencedContentItemIdentifier" not in item for item in out.ContentSequence)


def test_a_bomb_of_deflate_is_bounded() -> None:
    made = scan(np.zeros((2048, 2048), np.uint8))
    data = as_syntax(made, DeflatedExplicitVRLittleEndian)
    assert len(data) < 20_000
    with pytest.raises(ImageError) as caught:
        done(data, max_bytes=1_000_000)
    assert caught.value.code == "image_too_large"


def _pydicom_files() -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        # Only those that come with the package: no others are looked for, or downloaded.
        patch.setattr("pydicom.data.data_manager.fetch_data_files", lambda *_: [], raising=False)
        patch.setattr("pydicom.data.data_manager.online_test_file_dummy_paths", dict, raising=False)
        return sorted(name for name in get_testdata_files("*.dcm") if "dicomdir" not in name)


@pytest.mark.parametrize("path", _pydicom_files(), ids=lambda path: path.rpartition("/")[2])
@pytest.mark.filterwarnings("ignore")
def test_the_files_that_pydicom_is_tested_with(path: str) -> None:
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read()
    try:
        out = deidentify_object(data, Options(keep_reports=True), KEY)
    except ImageError:
        return
    if out is None:
        return
    source, made = pydicom.dcmread(path, force=True), read(out.data)
    for value in _identifying(source):
        assert value.encode("utf-8", "replace") not in out.data, value
    assert check(out.data) == []
    if "PixelData" in source:
        try:
            pixels = source.pixel_array
        except Exception:  # noqa: BLE001 - some are made so that nobody can
            return
        assert np.array_equal(pixels, made.pixel_array)


def _identifying(source: Dataset) -> set[str]:
    """What pydicom, which the check does not use, sees of names, ids, dates, UIDs and places."""
    named = ("Institution", "Physician", "Station", "Serial", "Accession", "Operators", "Address")
    found: set[str] = set()
    for one in source.iterall():
        if one.VR in {"DS", "IS", "CS", "SQ"}:
            continue
        values = one.value if one.VM > 1 else [one.value]
        if one.VR in {"PN", "DA", "DT"} or one.keyword.startswith("Patient"):
            found |= {str(value).strip() for value in values or ()}
        elif one.VR == "UI":
            found |= {str(value) for value in values or () if "1.2.840.10008" not in str(value)}
        elif any(name in one.keyword for name in named):
            found |= {str(value).strip() for value in values or ()}
    common = ("None", "[", "<", "HFS", "1900", "Anonymous")
    maker = f"{source.get('Manufacturer', '')}"  # which may be the institution, too
    return {
        value
        for value in found
        if len(value) >= 6 and not value.startswith(common) and value not in maker
    }


@pytest.mark.filterwarnings("ignore")
def test_hostile_and_odd_files(shared) -> None:
    expected = {
        "elem_len_overflow.dcm": "class_unknown",
        "huge_dims_small_data.dcm": "image_truncated",
        "mpeg2_ts.dcm": "transfer_syntax",
        "phi_full.dcm": "burned_in",
        "truncated_header.dcm": "dicom_invalid",
    }
    seen, refused = 0, {}
    for path in sorted((shared / "bad_inputs" / "files").glob("*.dcm")):
        data = path.read_bytes()
        try:
            out = deidentify_object(data, Options(), KEY)
        except ImageError as error:
            refused[path.name] = error.code
            continue
        assert out is not None
        assert check(out.data, data, out.dates) == [], path.name
        seen += 1
    assert refused == expected
    assert seen >= 12


@pytest.mark.filterwarnings("ignore")
def test_broken_bytes_end_in_an_error_or_in_a_clean_file() -> None:
    chance = random.Random(4)
    data = written(full())
    ended = {"refused": 0, "clean": 0}
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 3, 10))):
            broken[chance.randrange(128, len(data) - 256)] = chance.randrange(256)
        if chance.random() < 0.2:
            del broken[chance.randrange(200, len(broken)) :]
        try:
            out = deidentify_object(bytes(broken), Options(), KEY)
        except ImageError:
            ended["refused"] += 1
            continue
        assert out is not None
        assert not left(out.data)
        ended["clean"] += 1
    assert min(ended.values()) > 20
