"""In which elements of a finished file a part of a person's name stands, by the second reader."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pydicom.datadict import keyword_for_tag

from vesalius.data.deidentify.codes import is_meaning, meanings
from vesalius.data.deidentify.identifiers import TEXTS, encodings_of, texts
from vesalius.data.deidentify.independent_parser import Piece
from vesalius.data.deidentify.names import Names

_CHARACTER_SET, _METHOD, _VERSION = 0x00080005, 0x00120063, 0x00020013
_CODE_VALUE, _SCHEME, _SCHEME_VERSION, _MEANING = 0x00080100, 0x00080102, 0x00080103, 0x00080104
_WRITTEN_HERE = {_METHOD: re.compile(rb"Vesalius [^\\]*\\PS3\.15 2026d, allow-list[ \0]*\Z")}
_WRITTEN_HERE |= {_VERSION: re.compile(rb"VESALIUS[ \0]*\Z")}
_PSEUDONYM = re.compile(rb"V-[0-9A-F]{16}[ \0]*\Z")
_WORDS = TEXTS | {"CS"}


def named_in(data: bytes, values: Sequence[Piece], names: Names) -> Iterator[int]:
    """The tags of texts of ``data`` in which one of the names stands, whole or in part.

    ``values`` are the file's in their order. A code that the standard has, and the meaning that it
    gives it, are no trace, whatever a person is called.
    """
    encodings, code = ["iso8859"], ("", "")
    for piece, after in zip(values, (*values[1:], None), strict=True):
        value = data[piece.start : piece.end]
        if piece.tag == _CHARACTER_SET:
            encodings = encodings_of(value)
        if piece.tag == _CODE_VALUE:
            code = (_scheme(data, after), _plain(value))
        elif piece.tag not in {_SCHEME, _SCHEME_VERSION, _MEANING}:
            code = ("", "")
        if piece.representation not in _WORDS or _says_no_more(piece.tag, value, code):
            continue
        keyword = keyword_for_tag(piece.tag)
        read = (one for text in texts(value, encodings) for one in text.split("\\"))
        if any(names.stand_in(one, keyword) for one in read):
            yield piece.tag


def _says_no_more(tag: int, value: bytes, code: tuple[str, str]) -> bool:
    """Whether a text is one that de-identifying writes, or that the standard has for a code."""
    if tag == _CODE_VALUE:
        return bool(meanings(*code))
    if tag == _MEANING:
        return is_meaning(*code, _plain(value))
    ours = _WRITTEN_HERE.get(tag, _PSEUDONYM)
    return ours.match(value) is not None


def _scheme(data: bytes, after: Piece | None) -> str:
    return _plain(data[after.start : after.end]) if after and after.tag == _SCHEME else ""


def _plain(value: bytes) -> str:
    return value.decode("utf-8", "replace").strip("\0 ")
