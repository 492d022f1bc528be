"""No part of a person's name stays in a text, in whatever element, script and writing."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planted import GREY, KEY, code, done
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from scans import scan, written

from vesalius.data.deidentify.names import Names
from vesalius.data.deidentify.operators import element
from vesalius.data.deidentify.options import Options
from vesalius.data.deidentify.policy import Policy
from vesalius.data.deidentify.single import deidentify_object
from vesalius.data.deidentify.verify import Finding, check

NAME = "Zwetschgenbaum^Ottokar"
PARTS = ("zwetschgenbaum", "ottokar")


def read(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(io.BytesIO(data))


def words(dataset: Dataset) -> Iterator[str]:
    """Every text of a data set at any depth, without diacritics and in small letters."""
    for one in dataset.iterall():
        if one.VR not in {"SQ", "OB", "OW"}:
            apart = unicodedata.normalize("NFKD", str(one.value).casefold())
            yield "".join(letter for letter in apart if unicodedata.category(letter) != "Mn")


def left(data: bytes, *parts: str) -> list[str]:
    text = "\n".join(words(read(data)))
    return [part for part in parts if part in text or part.encode() in data.lower()]


@pytest.mark.parametrize(
    ("keyword", "text", "stays"),
    [
        ("BodyPartExamined", "OTTOKAR", ""),
        ("SequenceName", "OTTOKAR Z", "Removed"),
        ("TransmitCoilName", "Zwetschgenbaum", "Removed"),
        ("ManufacturerModelName", "Zwetschgenbaum Ottokar", "Removed"),
        ("StackID", "zwetschgenbaum1", "Removed"),
        ("ContrastBolusRoute", "by Dr ottokar", "Removed"),
        ("ConvolutionKernel", ["B30f", "OTTOKAR"], ["B30f", ""]),
        ("ImageType", ["DERIVED", "PRIMARY", "OTTOKAR_MIP"], ["DERIVED", "PRIMARY", ""]),
    ],
)  # fmt: skip
def test_an_element_with_a_name_is_cleared_and_counted(keyword, text, stays) -> None:
    made = scan(GREY, PatientName=NAME)
    made.add(element(tag_for_keyword(keyword), dictionary_VR(keyword), text))
    source = written(made)
    out = done(source)
    value = read(out.data)[keyword].value
    assert (list(value) if isinstance(stays, list) else value) == stays
    assert out.cleared == {keyword: 1}
    assert out.tally["C", keyword] == 1
    assert check(out.data, source, out.dates) == []


@pytest.mark.parametrize(
    "person",
    [
        {"ReferringPhysicianName": NAME},
        {"OperatorsName": ["Somebody^Else", NAME]},
        {"OtherPatientNames": NAME},
        {"PatientMotherBirthName": "Zwetschgenbaum"},
        {"RequestingPhysician": "=" + NAME},
        {"ReferringPhysicianName": "Else==" + NAME},
    ],
)
def test_everybodys_names_count_in_each_of_their_groups(person: dict) -> None:
    made = scan(GREY, **person, SequenceName="zwetschgenbaum")
    assert read(done(made).data).SequenceName == "Removed"


def test_a_name_that_stands_only_deep_in_a_sequence_that_goes() -> None:
    made = scan(GREY, SequenceName="zwetschgenbaum")
    made.ReferencedStudySequence = Sequence([Dataset()])
    made.ReferencedStudySequence[0].PerformedProcedureCodeSequence = Sequence([Dataset()])
    made.ReferencedStudySequence[0].PerformedProcedureCodeSequence[0].PersonName = NAME
    made.add_new(0x00091001, "PN", "Habergeiss^Petunia")
    made.add_new(0x00090010, "LO", "ACME")
    made.TransmitCoilName = "PETUNIA"
    out = done(made)
    assert (read(out.data).SequenceName, read(out.data).TransmitCoilName) == ("Removed", "Removed")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Müller^Jörg", "MUELLER"), ("Mueller^Jorg", "Müller"), ("Łęcki^Jan", "lecki"),
        ("O'Neill^Sean", "ONEILL"), ("Doe^Jane", "doejane"), ("Doe^Jane", "JDOE 2"),
        ("Smith-Jones^Amy", "head jones"), ("van der Berg^A", "vanderberg"), ("Das^Ram", "DAS"),
        ("Li^Xu", "lixu"),
        ("MILLER01", "miller"), ("Иванов^Пётр", "ПЕТР"), ("Yamada^Tarou=山田^太郎", "山田さん"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ"), ("Hand^Max", "HAND"), ("Dr. Who^Lee", "lee"),
        ("Siemens^Max", "max ip"), ("李^明", "李明"), ("田田", "田田 头"),
        ("Sørensen^Bo", "SOERENSEN"), ("Mu\u0308ller^A", "MUELLER"), ("Muller^A", "MUELLER 2"),
        ("Doe, Jane", "doejane"), ("Doe Jane", "jdoe"),
    ],
)  # fmt: skip
def test_ways_to_write_a_name(name: str, text: str) -> None:
    assert Names.of([name]).stand_in(text, "SequenceName")


@pytest.mark.parametrize(
    ("name", "text", "keyword"),
    [
        ("XXXXX", "XXXXX", "SequenceName"), ("Anonymous^Patient", "PATIENT", "StackID"),
        ("Thora^Stern", "THORAX", "BodyPartExamined"), ("Stern^A", "STERNUM", "BodyPartExamined"),
        ("Siemens^Max", "SIEMENS", "Manufacturer"), ("LUNG1-001", "LUNG", "BodyPartExamined"),
        ("Miller^Dr. med.", "med", "SequenceName"), ("Lee^A", "SLEEP", "SequenceName"),
        ("Rgb^A", "RGB", "PhotometricInterpretation"), ("V-0123456789ABCDEF", "abc", "StackID"),
        ("Unknown^Dr.", "unknown dr", "SequenceName"), ("Seg^A", "SEG", "Modality"),
        ("Aaa^Bbb", "AAA", "StackID"), ("Jane Mary Doe", "jmary", "StackID"),
    ],
)  # fmt: skip
def test_what_is_no_trace_of_a_name(name: str, text: str, keyword: str) -> None:
    assert not Names.of([name]).stand_in(text, keyword)


def test_a_makers_word_stays_in_the_makers_elements_alone() -> None:
    made = scan(GREY, PatientName="Siemens^Vida", Manufacturer="SIEMENS", StackID="Siemens")
    source = written(made)
    out = done(source)
    assert (read(out.data).Manufacturer, read(out.data).StackID) == ("SIEMENS", "Removed")
    assert check(out.data, source, out.dates) == []


def test_the_meaning_of_a_known_code_is_the_standards() -> None:
    made = scan(GREY, PatientName=NAME, ReferringPhysicianName="Chest^Rib")
    codes = [
        code("51185008", "SCT", "Chest of Ottokar Zwetschgenbaum"),
        code("T-D3000", "SRT", "Brustkorb"),
        code("818981001", "SCT", "Abdomen"),
        code("999999", "SCT", "Ottokar's own"),
        code("OTTOKAR", "SCT", "a code of his"),
    ]
    made.AnatomicRegionSequence = Sequence(codes)
    source = written(made)
    out = done(source)
    kept = [(item.CodeValue, item.CodeMeaning) for item in read(out.data).AnatomicRegionSequence]
    assert kept == [
        ("51185008", "Thoracic structure (body structure)"),
        ("T-D3000", "Thoracic structure (body structure)"),
        ("818981001", "Abdomen"),
        ("999999", "Removed"),
    ]
    assert out.cleared == {"CodeMeaning": 2, "CodeValue": 1}
    assert check(out.data, source, out.dates) == []


@pytest.mark.parametrize("grey", [b"X" * 256, bytes(range(256)), b"abebaccaebabe" * 20])
@pytest.mark.parametrize("name", ["XXXXX", "Abcdef", "Abeba"])
def test_letters_that_are_grey_values_are_no_trace(name: str, grey: bytes) -> None:
    made = scan(np.frombuffer(grey[:256], np.uint8).reshape(16, 16), PatientName=name)
    source = written(made)
    assert check(done(source).data, source) == []


def test_digits_that_a_ramp_of_16_bits_spells_are_no_trace() -> None:
    ramp = np.arange(4096, dtype="<u2").reshape(64, 64)
    source = written(scan(ramp, PatientID="123456789"))
    assert check(done(source).data, source) == []


def test_the_check_finds_what_the_cleaner_has_left() -> None:
    source = written(scan(GREY, PatientName=NAME, StackID="of Ottokar"))
    clean = read(done(source).data)
    for keyword in ("StackID", "SequenceName", "BodyPartExamined", "Manufacturer"):
        clean.add(element(tag_for_keyword(keyword), dictionary_VR(keyword), "OTTOKAR"))
    clean.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Chest of Ottokar")])
    found = check(written(clean), source)
    assert {one.where for one in found if one.code == "name"} == {
        "StackID", "SequenceName", "BodyPartExamined", "Manufacturer", "CodeMeaning",
    }  # fmt: skip
    assert Finding("name", "StackID") in found


# Scripts with a name of each that no dictionary has, and the character set of a file in it.
PEOPLE = {
    "": ("Zwetschgenbaum", "Ottokar"),
    "ISO_IR 100": ("Güntherödt", "Renée"),
    "ISO_IR 144": ("Вешняков", "Тихон"),
    "ISO_IR 126": ("Παπαδόπουλος", "Κίμων"),
    "ISO_IR 192": ("Nguyễn", "Łukasz"),
    "GB18030": ("司馬相如", "公孫龍子"),
    "ISO 2022 IR 149": ("김철수", "남궁민수"),
}
KEPT = [
    tag
    for tag in (tag_for_keyword(name) for name in (
        "BodyPartExamined", "ImageType", "SequenceName", "StackID", "ConvolutionKernel",
        "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "ReceiveCoilName",
        "ScanningSequence", "RescaleType", "DimensionDescriptionLabel", "PatientPosition",
        "AcquisitionDeviceProcessingCode", "CodeValue", "CodeMeaning", "CodingSchemeVersion",
        "Radiopharmaceutical", "PlateType", "LongCodeValue",
    ))
    if Policy(Options(retain_device=True)).action(tag) == "K"
]  # fmt: skip


@st.composite
def planted(draw: st.DrawFn) -> tuple[Dataset, tuple[str, ...]]:
    """An image in a random character set, with a person's names in random kept elements."""
    character_set = draw(st.sampled_from(sorted(PEOPLE)))
    names = PEOPLE[character_set]
    made = scan(GREY, PatientName="Doe^John")
    if character_set:
        extended = ["", character_set] if "2022" in character_set else character_set
        made.SpecificCharacterSet = extended
    person = draw(st.sampled_from(["PatientName", "OperatorsName", "PhysiciansOfRecord"]))
    setattr(made, person, "^".join(names))
    for tag in draw(st.lists(st.sampled_from(KEPT), min_size=1, max_size=5, unique=True)):
        text = draw(st.sampled_from(["{}", "of {}", "{}_1", "{} T1", "X {} Y"]))
        text = text.format(draw(st.sampled_from(names)))
        text = draw(st.sampled_from([str.upper, str.lower, str.title, str]))(text)
        representation = str(dictionary_VR(tag))
        if not text.isascii() and representation not in {"LO", "SH", "UC"}:
            continue
        many = dictionary_VM(tag) != "1" and draw(st.booleans())
        one = element(tag, representation, ["FIRST", text] if many else text)
        _holder(draw, made).add(one)
    return made, names


def _holder(draw: st.DrawFn, made: Dataset) -> Dataset:
    """The data set itself, an item of it, or a code within an item."""
    depth = draw(st.integers(0, 3))
    for _ in range(depth):
        item = Dataset()
        if draw(st.booleans()):
            item = code("51185008", draw(st.sampled_from(["SCT", "99SITE", "DCM"])), "Thorax")
        name = draw(st.sampled_from(["SourceImageSequence", "AnatomicRegionSequence"]))
        made.setdefault(name, Sequence()).value.append(item)
        made = item
    return made


@given(planted())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_names_planted_anywhere_never_survive(case: tuple[Dataset, tuple[str, ...]]) -> None:
    made, names = case
    source = written(made)
    out = deidentify_object(source, Options(), KEY)
    assert out is not None
    assert check(out.data, source, out.dates) == []
    plain = [unicodedata.normalize("NFKD", name.casefold()) for name in names]
    bare = ["".join(x for x in one if unicodedata.category(x) != "Mn") for one in plain]
    assert not left(out.data, *bare), [keyword_for_tag(one.tag) for one in made]
