"""What in a file could tell who it is of, and the bytes by which to know it again.

Which elements those are is decided here from representation and keyword, apart from the policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from pydicom._uid_dict import UID_dictionary
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import keyword_for_tag

from vesalius.data.deidentify.independent_parser import Broken, Piece, inflated, pieces
from vesalius.data.deidentify.names import Names, measure, says_nothing

Kind = Literal["name", "id", "date", "uid", "device", "place", "text"]
TEXTS = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "UR", "AE", "PN", "UN"))
_SOFTWARE = 0x00020012  # Implementation Class UID: of a program, and ours in what we wrote
_WIDE = ("utf-16-le", "utf-16-be")
_ASIAN = ("cp932", "euc_jp", "iso2022_jp_2", "euc_kr", "iso2022_kr", "gb18030")
_DELIMITERS = {0x09, 0x0A, 0x0C, 0x0D, 0x5C, 0x5E, 0x3D}
_CODECS = (*_WIDE, "utf-8", "latin-1", *_ASIAN)
_ID = re.compile(r"ID$|IDs$|Number|Identifier|Accession|Serial|AETitle|Barcode")
_DEVICE = re.compile(r"Device|Station|Detector|Gantry|Generator|Cassette|Plate|Machine|Lens|Source")
_CHARACTERISTIC = re.compile(r"Species|Breed|Strain|Agent|Ethnic|Smoking|Intervention|Drug")
_PLACE = re.compile(r"Institution|Address|Station|Location|Department|Organization|Telephone|AE$")
TECHNICAL = re.compile(
    r"Manufacturer|SoftwareVersions|SequenceName|Code(Value|Meaning)$|CodingScheme|CoilName"
    r"|Kernel|FilterType|Nucleus|RescaleType|ModalityLUTType|Method$|DimensionDescription"
    r"|Radiopharmaceutical|Route$|PlateType|StackID|SegmentLabel|ImplementationVersionName"
)
_LEAST = {"name": 5, "id": 6, "device": 6, "uid": 8, "place": 6, "text": 8, "date": 8}


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value to look for, in lower case, in each way that it may be written as bytes."""

    kind: Kind
    forms: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Identifiers:
    """All traces of a file."""

    values: tuple[Identifier, ...]
    names: Names
    """The parts of all persons' names, for texts; whole ones are among the values, too."""
    whole: bool
    """Whether the file could be read to its end; else these are the traces up to the fault."""


def identifiers(data: bytes) -> Identifiers:
    """What identifies the source file: names and their parts, ids, places, dates, UIDs, texts."""
    values: dict[tuple[Kind, str], bytes] = {}
    technical: list[str] = []
    persons: set[str] = set()
    whole, encodings = True, ["iso8859"]
    try:
        data = inflated(data)
        for piece in pieces(data):
            value = data[piece.start : piece.end]
            if piece.tag == 0x00080005:
                encodings = encodings_of(value)
            if piece.representation == "PN":
                persons.update(*(text.split("\\") for text in texts(value, encodings)))
            for kind, text in _identifying(piece, value, encodings, technical):
                values.setdefault((kind, text.lower()), value)
    except Broken:
        whole = False
    names = Names.of(persons)
    spoken = "\n".join(technical).lower()
    items = [
        Identifier(kind, _forms(kind, text, raw))
        for (kind, text), raw in values.items()
        if not (kind in {"place", "text"} and text in spoken) and not says_nothing(text)
    ]
    return Identifiers(tuple(items), names, whole)


def texts(value: bytes, encodings: list[str]) -> set[str]:
    """A value as its file says that it is written, and as it may be written all the same."""
    bare = value.strip(b"\0 ")
    if bare.isascii() and b"\0" not in bare and b"\x1b" not in bare:
        return {bare.decode("ascii")}
    found = {decode_bytes(bare, encodings, _DELIMITERS)}
    for codec in ("utf-8", *(_WIDE if b"\0" in bare else ())):
        with suppress(UnicodeDecodeError):
            found.add(value.decode(codec).strip("\0 "))
    return found


def encodings_of(value: bytes) -> list[str]:
    """Python's codecs for a Specific Character Set (0008,0005)."""
    names = [name.strip() for name in value.decode("ascii", "replace").strip("\0 ").split("\\")]
    try:
        return list(convert_encodings(names))
    except (LookupError, ValueError):
        return ["iso8859"]


def _identifying(
    piece: Piece, value: bytes, encodings: list[str], technical: list[str]
) -> Iterator[tuple[Kind, str]]:
    representation, keyword = piece.representation, keyword_for_tag(piece.tag)
    if representation in {"DA", "DT"}:
        yield from (("date", date) for date in _dates(value))
    elif representation == "UI" and piece.tag != _SOFTWARE:
        yield from (("uid", uid) for uid in _uids(value))
    elif representation in TEXTS and keyword and not keyword.startswith("Deidentification"):
        text = decode_bytes(value, encodings, _DELIMITERS)
        for one in text.strip("\0 ").split("\\"):
            if representation == "PN":
                yield from _name(one)
            elif TECHNICAL.search(keyword):
                technical.append(one)
            elif measure(one.strip()) >= _LEAST[kind := _kind(piece.tag, keyword)]:
                yield kind, one.strip()


def _dates(value: bytes) -> Iterator[str]:
    for date in value.decode("ascii", "replace").split("\\"):
        digits = date.strip().replace(".", "")[:8]
        if len(digits) == 8 and digits.isdigit() and digits != "19000101":
            yield digits


def _uids(value: bytes) -> Iterator[str]:
    for uid in value.decode("ascii", "replace").split("\\"):
        bare = uid.strip("\0 ")
        if len(bare) >= _LEAST["uid"] and bare not in UID_dictionary:
            yield bare


def _kind(tag: int, keyword: str) -> Kind:
    if tag >> 16 == 0x0010 and not _CHARACTERISTIC.search(keyword):
        return "id"
    if _DEVICE.search(keyword):
        return "device"
    if _ID.search(keyword):
        return "id"
    return "place" if _PLACE.search(keyword) else "text"


def _name(name: str) -> Iterator[tuple[Kind, str]]:
    """A person's name as a whole, and each writing of it."""
    for whole in {name, *name.split("=")}:
        if measure(whole.strip("^ ")) >= _LEAST["name"]:
            yield "name", whole.strip("^ ")


def _forms(kind: Kind, text: str, raw: bytes) -> tuple[bytes, ...]:
    if kind == "date":
        year, month, day = text[:4], text[4:6], text[6:]
        forms = {text.encode("utf-16-le"), f"{month}/{day}/{year}".encode()}
        for mark in ("", "-", ".", "/"):
            forms |= {
                mark.join(parts).encode() for parts in ((year, month, day), (day, month, year))
            }
        return (text.encode(), *sorted(forms - {text.encode()}))
    codecs = _CODECS if not text.isascii() else ("ascii", *_WIDE)
    forms = {raw.strip(b"\0 ").lower()} if kind in {"name", "text"} and b"\\" not in raw else set()
    for codec in codecs:
        try:
            forms.add(text.encode(codec).lower())
        except UnicodeEncodeError:
            continue
    return tuple(sorted(form for form in forms if len(form) >= 4))
