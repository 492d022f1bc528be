"""What an action makes of one element's value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from vesalius.data.deidentify.pseudonyms import Pseudonyms, is_uid, is_well_known, shifted

DUMMY = "Removed"
DUMMY_NAME = "Anonymous"
OLDEST = 89
"""Years; above it an age is rare enough to tell a person (45 CFR 164.514(b)(2)(i)(C))."""
_DUMMIES = {
    **dict.fromkeys(("LO", "SH", "ST", "LT", "UT", "UC"), DUMMY),
    "PN": DUMMY_NAME,
    "CS": "REMOVED",
    "AE": "REMOVED",
    "AS": "000D",
    "DA": "19000101",
    "DT": "19000101000000",
    "TM": "000000",
    "UR": "urn:removed",
    "DS": "0",
    "IS": "0",
    **dict.fromkeys(("OB", "OW", "OF", "OD", "OL", "OV", "UN"), b"\0" * 8),
}
_FORMS = {
    "CS": re.compile(r"[A-Z0-9 _]{0,16}"),
    "DS": re.compile(r" *[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)? *"),
    "IS": re.compile(r" *[-+]?\d{1,12} *"),
    "AS": re.compile(r"\d{3}[DWMY]"),
}
_POINTED = re.compile(r" *([-+]?\d{1,12})\.0* *")
_TEXTS = frozenset(("LO", "SH", "UC"))
_LONGEST = 64
_NUMBERS = frozenset(("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"))
_BYTES = frozenset(("OB", "OW", "OF", "OD", "OL", "OV"))


def element(tag: int, representation: str, value: Any) -> DataElement:
    """A new element. Nothing is checked: what is kept has been, and ours is right."""
    return DataElement(tag, representation, value, validation_mode=IGNORE)


def emptied(tag: int, representation: str) -> DataElement:
    """The element with nothing in it (Z)."""
    return element(tag, representation, [] if representation == "SQ" else None)


def dummy(tag: int, representation: str) -> DataElement:
    """The element with a value that says nothing (D)."""
    return element(tag, representation, _DUMMIES.get(representation, 0))


def replaced_uid(source: DataElement, pseudonyms: Pseudonyms, retain: bool) -> DataElement | None:
    """UIDs of the standard as they are, others by their keyed hash (U); None for what is no UID."""

    def new(uid: str) -> str:
        keep = is_well_known(uid) or (retain and is_uid(uid))
        return uid if keep or not uid else pseudonyms.uid(uid)

    if source.VR != "UI":
        return None
    return element(source.tag, "UI", [new(str(uid).strip(" \0")) for uid in values(source)])


def shifted_dates(source: DataElement, days: int) -> DataElement:
    """Dates moved by ``days``, times kept (C)."""
    moved = [shifted(source.VR, str(value).strip(), days) for value in values(source)]
    return element(source.tag, source.VR, moved if all(moved) else None)


def keep(source: DataElement) -> DataElement | None:
    """The element as it is (K), or the good ones of its values; None where none may stay.

    Coded strings are written in capitals, as they should be. A bad value among texts is emptied, so
    that the others stay in their places; numbers stay up to a bad one where any count is allowed.
    """
    content = values(source)
    fits: Any = None
    if source.VR in _BYTES:
        return source if isinstance(source.value, bytes | None) else None
    if not content:
        fits = source.value
    elif source.VR in _TEXTS or source.VR == "CS":
        fits = [_fitting(source.VR, one) for one in content[: _counts(source.tag)[1]]]
        fits = fits if any(fits) else None
    elif _is_count(source.tag, len(content)):  # numbers beside the point may be anything: text, too
        fits = _numbers(source, content)
    return None if fits is None and content else element(source.tag, source.VR, fits)


def _numbers(source: DataElement, content: Sequence[Any]) -> Sequence[Any] | None:
    if source.VR in _NUMBERS:
        return content if all(isinstance(one, int | float) for one in content) else None
    if source.VR not in _FORMS:
        return None
    texts = [_whole(source.VR, _written(one)) for one in content]
    if source.keyword == "PatientAge":
        texts = [_capped(age) for age in texts]
    bad = next((at for at, one in enumerate(texts) if not _is_written_so(source.VR, one)), None)
    return texts[:bad] if bad is None or _is_count(source.tag, bad) else None


def readable(numbers: bytes) -> bytes:
    """Numbers as text (DS, IS) up to the first that is none, which stands there as a bad one."""
    texts = numbers.decode("ascii", "replace").strip("\0").split("\\")
    good = takewhile(lambda one: _is_written_so("DS", one), texts)
    return "\\".join(good).encode()


def values(source: DataElement) -> Sequence[Any]:
    """An element's values, none for an empty one."""
    if source.value is None or source.value == "":
        return []
    return list(source.value) if isinstance(source.value, MultiValue | list) else [source.value]


def _counts(tag: int) -> tuple[int, int | None]:
    """How few and how many values an element has (PS3.6): ``1``, ``1-3``, ``2-n``, ``3-3n`` ..."""
    least, _, most = str(dictionary_VM(tag)).partition("-")
    return int(least), None if most.endswith("n") else int(most or least)


def _is_count(tag: int, count: int) -> bool:
    least, most = _counts(tag)
    return least <= count and (most is None or count <= most)


def _fitting(representation: str, value: Any) -> str:
    """A text as its representation allows it, else an empty one."""
    text = str(value)
    if representation == "CS":
        text = text.strip().upper() if text.isascii() else text
        return text if _is_written_so("CS", text) else ""
    return text if len(text) <= _LONGEST and text.isprintable() else ""


def _is_written_so(representation: str, text: str) -> bool:
    return text == "" or _FORMS[representation].fullmatch(text) is not None


def _whole(representation: str, text: str) -> str:
    """A whole number without the point that some writers give it: 3.0 is 3."""
    match = _POINTED.fullmatch(text) if representation == "IS" else None
    return match[1] if match else text


def _written(value: Any) -> str:
    # Numbers in text are judged by what stood in the file, not by what they were read as.
    original = getattr(value, "original_string", None)
    return str(value) if original is None else str(original)


def _capped(age: str) -> str:
    return "090Y" if re.fullmatch(r"\d{3}Y", age) and int(age[:3]) > OLDEST else age
