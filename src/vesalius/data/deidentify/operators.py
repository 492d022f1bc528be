"""What an action makes of one element's value."""

from __future__ import annotations

import re
from collections.abc import Sequence
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
    """The element as it is (K), or None where its value is not what its representation allows."""
    form, content = _FORMS.get(source.VR), values(source)
    if source.VR not in _BYTES and not _is_count(source.tag, len(content)):
        return None  # numbers beside the point may be anything: text, too
    if form is not None:
        texts = [_written(one) for one in content]
        good = all(one == "" or form.fullmatch(one) for one in texts)
        if good and source.keyword == "PatientAge":
            return element(source.tag, "AS", [_capped(age) for age in texts])
    elif source.VR in _TEXTS:
        good = all(len(str(one)) <= _LONGEST and str(one).isprintable() for one in content)
    elif source.VR in _NUMBERS:
        good = all(isinstance(one, int | float) for one in content)
    else:
        good = source.VR in _BYTES and isinstance(source.value, bytes | None)
    return element(source.tag, source.VR, source.value) if good else None


def values(source: DataElement) -> Sequence[Any]:
    """An element's values, none for an empty one."""
    if source.value is None or source.value == "":
        return []
    return list(source.value) if isinstance(source.value, MultiValue | list) else [source.value]


def _is_count(tag: int, count: int) -> bool:
    """Whether an element may have so many values (PS3.6): none, ``1``, ``1-3``, ``2-n`` ..."""
    least, _, most = str(dictionary_VM(tag)).partition("-")
    if count == 0 or most.endswith("n"):
        return count == 0 or count >= int(least)
    return int(least) <= count <= int(most or least)


def _written(value: Any) -> str:
    # Numbers in text are judged by what stood in the file, not by what they were read as.
    original = getattr(value, "original_string", None)
    return str(value) if original is None else str(original)


def _capped(age: str) -> str:
    return "090Y" if age[3:] == "Y" and int(age[:3]) > OLDEST else age
