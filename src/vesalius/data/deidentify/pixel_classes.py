"""What the pixels of an object show of a person by what the object is: a label, a screen, a paper.

No pixel is looked at: the rules are policy.yaml's, over what the header says the picture is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom.dataset import Dataset

from vesalius.data.deidentify import operators
from vesalius.data.deidentify.policy import tables

CAPTURE = "capture"
"""A secondary capture that does not say of what: let through, and counted."""
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


def pixel_classes(source: Dataset, kind: str) -> list[str]:
    """The classes of an object of SOP class ``kind`` that show who it is of; mostly none.

    ``label``, ``overview``, ``screen``, ``document``, ``film`` and ``face`` are refused unless
    they are allowed; ``capture`` is only counted.
    """
    found = [
        name
        for name, rules in tables()["policy"]["shows"].items()
        if any(_fits(rule, source) for rule in rules)
    ]
    if "overview" in found and "label" in found:
        found.remove("label")  # which every overview has in it
    secondary = kind == _SECONDARY or kind.startswith(f"{_SECONDARY}.")
    return found or ([CAPTURE] if secondary and not _says_whence(source) else [])


def _fits(rule: dict[str, str], source: Dataset) -> bool:
    """Whether each element of a rule has a value that its pattern describes."""
    return all(
        any(re.fullmatch(pattern, value) for value in _values(source, keyword))
        for keyword, pattern in rule.items()
    )


def _values(source: Dataset, keyword: str) -> Iterator[str]:
    """An element's values in one spelling: capitals, and blanks for ``_`` and ``-``."""
    if keyword in source:
        yield from map(_spelling, operators.values(source[keyword]))
    if keyword == "ImageType":
        yield from map(_spelling, _frame_types(source))


def _frame_types(source: Dataset) -> Iterator[object]:
    """What each frame of a slide says that it is."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in source.get(groups) or ():
            for item in group.get("WholeSlideMicroscopyImageFrameTypeSequence") or ():
                yield from operators.values(item["FrameType"])


def _spelling(value: object) -> str:
    return re.sub(r"[_\-\s]+", " ", str(value)).strip().upper()


def _says_whence(source: Dataset) -> bool:
    return bool(str(source.get("ConversionType", "")).strip())
