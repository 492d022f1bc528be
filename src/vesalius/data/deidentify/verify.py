"""The independent check: does anything in a finished file still tell who it is of?

It knows no policy. It looks for every identifying value of the source, as bytes, anywhere in the
output, and at the output's own structure. A finding names an element, never a value.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import keyword_for_tag

from vesalius.data.deidentify.identifiers import TECHNICAL, Identifier, identifiers
from vesalius.data.deidentify.independent_parser import Broken, Piece, pieces
from vesalius.data.deidentify.names import is_maker_element
from vesalius.data.deidentify.verify_names import named_in

_NAMES = re.compile(rb"(V-[0-9A-F]{16}|Anonymous|Removed)?[ \0]*\Z")
_DUMMY_DATE = b"19000101"
_NEVER = frozenset((0x00880200, 0x00420011, 0xFFFCFFFC, 0x04000120, 0x04000520))
_NEVER |= {0x00020016, 0x00020017, 0x00020018, 0x00020026, 0x00020027, 0x00020028}
_BULK = frozenset(("OB", "OD", "OF", "OL", "OV", "OW"))
_RETAINED = {"uid": b"113110", "device": b"113109"}
_MOST = 50
_CHANCE = 0.01
"""How often a text may be expected among random numbers of the same shares before it is one."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What kind of trace is left (``name``, ``uid``, ``private`` ...), and in which element."""

    code: str
    where: str


@dataclass
class _File:
    """An output with its values in order, and which of the profile's options it declares."""

    data: bytes
    values: list[Piece] = field(default_factory=list)
    declared: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self.values = list(pieces(self.data))
        self.declared = frozenset(
            self.value(piece).strip(b" \0") for piece in self.values if piece.tag == 0x00080100
        )
        self._starts = [piece.start for piece in self.values]

    def value(self, piece: Piece) -> bytes:
        return self.data[piece.start : piece.end]

    def at(self, position: int) -> Piece | None:
        """The value that holds a byte, or None between values."""
        nearest = bisect_right(self._starts, position) - 1
        piece = self.values[nearest] if nearest >= 0 else None
        return piece if piece and piece.start <= position < piece.end else None


def check(
    output: bytes, source: bytes | None = None, dates: frozenset[str] | None = None
) -> list[Finding]:
    """What is left in ``output``, sorted; empty if nothing is found.

    With the ``source`` its identifying values are looked for. ``dates`` (YYYYMMDD) may stand in
    the output; where it is None, any date may if the file declares its dates as moved.
    """
    try:
        file = _File(output)
    except Broken:
        return [Finding("unreadable", "file")]
    findings = set(_structure(file, dates))
    if source is not None:
        known = identifiers(source)
        findings |= set(_left(file, known.values, dates or frozenset()))
        findings |= {
            Finding("name", _named(tag)) for tag in named_in(output, file.values, known.names)
        }
        if not known.whole and not known.values:
            findings.add(Finding("source_unread", "file"))
    return sorted(findings)


def _structure(file: _File, dates: frozenset[str] | None) -> Iterator[Finding]:
    if any(file.data[:128]):
        yield Finding("preamble", "file")
    removed = False
    for piece in file.values:
        group, name = piece.tag >> 16, _named(piece.tag)
        if group % 2:
            yield Finding("private", name)
        if group in range(0x5000, 0x5100) or group in range(0x6000, 0x6100):
            yield Finding("overlay", name)
        if piece.tag in _NEVER or group == 0x4FFE:
            yield Finding("forbidden", name)
        if not _is_clean(file, piece, dates):
            yield Finding(f"{piece.representation.lower()}_left", name)
        removed |= piece.tag == 0x00120062 and file.value(piece).strip() == b"YES"
        if piece.tag == 0x7FE00010 and piece.depth and _has_comment(file.value(piece)):
            yield Finding("comment", name)
    if not removed:
        yield Finding("not_declared", "PatientIdentityRemoved")


def _is_clean(file: _File, piece: Piece, dates: frozenset[str] | None) -> bool:
    """Whether a name, a date, a time or a UID is one that may be there."""
    value, moved = file.value(piece), b"113107" in file.declared
    if piece.representation == "PN":
        return _NAMES.match(value) is not None
    if piece.representation in {"DA", "DT"}:
        days = {one.strip(b" \0")[:8] for one in value.split(b"\\")} - {b"", _DUMMY_DATE}
        allowed = moved if dates is None else days <= {date.encode() for date in dates}
        return not days or (moved and allowed)
    if piece.representation == "TM":
        return moved or not value.strip(b" \0") or value.strip(b" \0") == b"000000"
    if piece.representation == "UI" and b"113110" not in file.declared:
        uids = value.decode("ascii", "replace").strip("\0 ").split("\\")
        return all(not uid or uid.startswith("2.25.") or uid in UID_dictionary for uid in uids)
    return True


def _left(file: _File, known: tuple[Identifier, ...], dates: frozenset[str]) -> Iterator[Finding]:
    lowered = file.data.lower()
    for identifier in known:
        retained = _RETAINED.get(identifier.kind, b"none") in file.declared
        moved_here = identifier.kind == "date" and identifier.forms[0].decode() in dates
        if retained or moved_here:
            continue
        for form in identifier.forms:
            for position in _positions(lowered, form):
                piece = file.at(position)
                if not _is_chance(identifier, form, piece, lowered, position):
                    yield Finding(identifier.kind, "file" if piece is None else _named(piece.tag))


def _positions(data: bytes, form: bytes) -> Iterator[int]:
    at, count = data.find(form), 0
    while at >= 0 and count < _MOST:
        yield at
        at, count = data.find(form, at + 1), count + 1


def _is_chance(
    identifier: Identifier, form: bytes, piece: Piece | None, data: bytes, position: int
) -> bool:
    """Whether a hit means nothing: digits within longer numbers, grey values, a maker's word."""
    before = data[position - 1 : position] if position else b""
    after = data[position + len(form) : position + len(form) + 1]
    if identifier.kind == "uid":
        return before.isdigit() or before == b"." or after.isdigit() or after == b"."
    if piece is None:
        return False
    if piece.representation in _BULK:
        return _is_expected(form, data[piece.start : piece.end])
    if identifier.kind in {"date", "id", "device"} and form.isdigit():
        # New UIDs are random digits, and are looked at by themselves.
        longer = before.isdigit() or (identifier.kind == "id" and after.isdigit())
        return longer or piece.representation in {"UI", "DS", "FD", "FL"}
    return _is_word_of_the_technique(identifier.kind, piece)


def _is_word_of_the_technique(kind: str, piece: Piece) -> bool:
    name = _named(piece.tag)
    if kind == "name":
        return is_maker_element(name)  # where names are looked for by their parts
    spoken = piece.representation == "CS" or TECHNICAL.search(name) is not None
    return kind in {"text", "place", "device"} and spoken


def _is_expected(form: bytes, values: bytes) -> bool:
    """Whether numbers spell a text by themselves: as a ramp, or because most of them are such."""
    letters = np.frombuffer(form, np.uint8)
    shares = np.bincount(np.frombuffer(values, np.uint8), minlength=256) / max(len(values), 1)
    # Without the zeros of UTF-16, which a ramp of 16-bit values spells.
    steps = np.unique(np.diff(letters[letters != 0].astype(int)))
    return len(steps) == 1 or float(np.prod(shares[letters])) * len(values) > _CHANCE


def _has_comment(frame: bytes) -> bool:
    """Whether a compressed frame's head has a comment or application data that say something."""
    if frame[:2] == b"\xff\x4f":
        main = frame[: max(frame.find(b"\xff\x90"), 0)]
        at = main.find(b"\xff\x64")
        return at >= 0 and any(main[at + 6 : at + 2 + int.from_bytes(main[at + 2 : at + 4], "big")])
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF and frame[at + 1] != 0xDA:
        marker = frame[at + 1]
        if marker == 0xFE or 0xE1 <= marker <= 0xED:
            return True
        at += 2 + int.from_bytes(frame[at + 2 : at + 4], "big")
    return False


def _named(tag: int) -> str:
    group = tag >> 16
    if group % 2:
        return f"({group:04X},....)"
    return keyword_for_tag(tag) or f"({group:04X},{tag & 0xFFFF:04X})"
