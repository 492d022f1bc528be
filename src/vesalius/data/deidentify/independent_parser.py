"""A second reader of DICOM files (PS3.5 7): where each value lies, at any depth, and no more.

It shares nothing with the reader and writer that made a file, so that it does not share their
mistakes; only the dictionary of what representation a tag has is the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from pydicom.datadict import DicomDictionary

_LONG = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"))
_LONG |= frozenset((b"UR", b"UT", b"UV"))
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DEEPEST = 64
_DEFLATED = b"1.2.840.10008.1.2.1.99"


class Broken(ValueError):
    """The bytes are no DICOM file, or stop being one."""


class Piece(NamedTuple):
    """A value that holds no further elements: ``data[start:end]``; a fragment is one, too."""

    tag: int
    representation: str
    start: int
    end: int
    depth: int


def inflated(data: bytes, most: int = 2**30) -> bytes:
    """The file with its data set inflated where it is deflated, else as it is."""
    if _DEFLATED not in data[:4096]:
        return data
    syntax, at = _meta(data)[:2]
    if syntax != _DEFLATED:
        return data
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return data[:at] + inflater.decompress(data[at:], most)
    except zlib.error as error:
        raise Broken from error


def pieces(data: bytes) -> Iterator[Piece]:
    """The values of a DICOM file in their order; Broken at the first byte that is none's.

    The bytes must end where the last element does.
    """
    syntax, at, values = _meta(data)
    yield from values
    # Some files say one of the two and are the other; the first element shows which.
    explicit = data[at + 4 : at + 6].isalpha() and data[at + 4 : at + 6].isupper()
    reader = _Reader(data, explicit, little=syntax != b"1.2.840.10008.1.2.2")
    yield from reader.elements(at, len(data), 0)


def _meta(data: bytes) -> tuple[bytes, int, list[Piece]]:
    """The transfer syntax, where the data set begins, and the values of group 2."""
    at = 132 if data[128:132] == b"DICM" else 0
    reader, values, syntax = _Reader(data, explicit=True, little=True), [], b""
    while data[at : at + 2] == b"\x02\x00":
        piece, at = reader.plain(at, 0)
        values.append(piece)
        if piece.tag == 0x00020010:
            syntax = data[piece.start : piece.end].strip(b"\0 ")
    return syntax, at, values


def _known(representation: str, tag: int, length: int) -> str:
    """What an element of unknown representation is, by the dictionary or by its length."""
    if representation != "UN":
        return representation
    known = DicomDictionary.get(tag)
    guess = "SQ" if length == _UNDEFINED else "UN"
    return known[0].split(" or ")[0] if known and length != _UNDEFINED else guess


class _Reader:
    def __init__(self, data: bytes, explicit: bool, little: bool) -> None:
        self._data, self._explicit = data, explicit
        self._order = "little" if little else "big"
        self.at = 0

    def elements(self, at: int, end: int, depth: int) -> Iterator[Piece]:
        """The values from ``at`` to ``end`` or to an item's delimiter; ``self.at`` is after it."""
        if depth > _DEEPEST:
            raise Broken
        while at < end:
            tag = self._tag(at)
            if tag == _ITEM_END:
                at += 8
                break
            representation, start, length = self._header(at, tag)
            if representation == "SQ":
                inner = self
                if self._explicit and self._data[at + 4 : at + 6] == b"UN":
                    # Its inside is in implicit VR, little endian (PS3.5 6.2.2).
                    inner = _Reader(self._data, explicit=False, little=True)
                yield from inner._items(start, length, end, depth)
                at = inner.at
            elif length == _UNDEFINED:
                yield from self._fragments(tag, start, depth)
                at = self.at
            else:
                piece, at = self.plain(at, depth)
                yield piece
            if at > end:
                raise Broken
        self.at = at

    def plain(self, at: int, depth: int) -> tuple[Piece, int]:
        """One value of known length, and where the next element begins."""
        tag = self._tag(at)
        representation, start, length = self._header(at, tag)
        if start + length > len(self._data):
            raise Broken
        return Piece(tag, representation, start, start + length, depth), start + length

    def _items(self, at: int, length: int, end: int, depth: int) -> Iterator[Piece]:
        stop = end if length == _UNDEFINED else at + length
        while at < stop:
            tag, size = self._tag(at), self._number(at + 4, 4)
            at += 8
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise Broken
            yield from self.elements(at, stop if size == _UNDEFINED else at + size, depth + 1)
            at = self.at
        self.at = at

    def _fragments(self, tag: int, at: int, depth: int) -> Iterator[Piece]:
        while True:
            mark, size = self._tag(at), self._number(at + 4, 4)
            at += 8
            if mark == _SEQUENCE_END:
                break
            if mark != _ITEM or at + size > len(self._data):
                raise Broken
            yield Piece(tag, "OB", at, at + size, depth + 1)
            at += size
        self.at = at

    def _header(self, at: int, tag: int) -> tuple[str, int, int]:
        """Representation, where the value starts, and its length."""
        if not self._explicit or tag >> 16 == 0xFFFE:
            known = DicomDictionary.get(tag)
            length = self._number(at + 4, 4)
            guess = "SQ" if length == _UNDEFINED and tag != 0x7FE00010 else "UN"
            return (known[0].split(" or ")[0] if known else guess), at + 8, length
        representation = self._data[at + 4 : at + 6]
        if not (representation.isalpha() and representation.isupper()):
            raise Broken
        if representation in _LONG:
            length = self._number(at + 8, 4)
            return _known(representation.decode(), tag, length), at + 12, length
        return representation.decode(), at + 8, self._number(at + 6, 2)

    def _tag(self, at: int) -> int:
        return self._number(at, 2) << 16 | self._number(at + 2, 2)

    def _number(self, at: int, size: int) -> int:
        raw = self._data[at : at + size]
        if len(raw) < size:
            raise Broken
        return int.from_bytes(raw, "little" if self._order == "little" else "big")
