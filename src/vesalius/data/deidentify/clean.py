"""A data set made anew from what the policy keeps; the source's is left as it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from vesalius.data.deidentify import operators
from vesalius.data.deidentify.policy import CURVES, OVERLAYS, Policy, tables
from vesalius.data.deidentify.pseudonyms import Pseudonyms

DEEPEST = 32
"""Sequences within sequences; what lies deeper is removed."""
_CONTENT = 0x0040A730
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_WHOLE, _BYTES = frozenset(("US", "SS", "UL", "SL")), frozenset(("OB", "OW"))


@dataclass(frozen=True)
class Cleaner:
    """One file's rules: the policy, the pseudonyms, by how many days its dates move, the tally."""

    policy: Policy
    pseudonyms: Pseudonyms
    days: int
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many elements met which action, by action and keyword; no values."""

    def clean(self, source: Dataset, depth: int = 0) -> Dataset:
        """A new data set of the elements that may stay, at every depth.

        Pixel data at the top are left out: their caller puts them in.
        """
        output = Dataset()
        for tag in sorted(source.keys()):
            if int(tag) in _PIXELS:
                if depth:  # a picture in a picture, which nobody looks into
                    self.count("X", int(tag))
                continue
            done = self._element(source, int(tag), depth)
            if done is not None:
                output.add(done)
        return output

    def count(self, action: str, tag: int) -> None:
        """Note one element in the tally."""
        self.tally[action, named(tag)] += 1

    def _element(self, source: Dataset, tag: int, depth: int) -> DataElement | None:
        action = self.policy.action(tag)
        if action == "X":
            self.count("X", tag)
            return None
        representation = str(dictionary_VR(tag))
        if action in {"Z", "D"}:
            self.count(action, tag)
            put = operators.emptied if action == "Z" else operators.dummy
            return put(tag, representation.partition(" or ")[0])
        try:
            read = source[tag]
            done = self._apply(read, action, depth) if _is(read.VR, representation) else None
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001
            # Whatever a reader makes of a broken value, it is not one that may stay.
            done = None
        self.count("X" if done is None else action, tag)
        return done

    def _apply(self, read: DataElement, action: str, depth: int) -> DataElement | None:
        if read.VR == "SQ":
            return self._sequence(read, depth)
        if action == "U":
            retain = self.policy.options.retain_uids
            return operators.replaced_uid(read, self.pseudonyms, retain)
        if action == "C":
            return operators.shifted_dates(read, self.days)
        if read.VR == "UI":
            return operators.replaced_uid(read, self.pseudonyms, self.policy.options.retain_uids)
        return operators.keep(read)

    def _sequence(self, read: DataElement, depth: int) -> DataElement | None:
        if depth + 1 >= DEEPEST:
            return None
        items = [item for item in read.value if _is_standard(item)]
        if read.tag == _CONTENT:
            items = [item for item in items if not self._is_dropped(item)]
        cleaned = [self.clean(item, depth + 1) for item in items]
        if read.tag == _CONTENT:
            cleaned = [item for item in cleaned if _still_says(item)]
        return operators.element(read.tag, "SQ", Sequence(cleaned))

    def _is_dropped(self, item: Dataset) -> bool:
        # Items that point at others by their position would point at the wrong ones.
        kind, concept = str(item.get("ValueType", "")), _concept(item)
        dropped = (
            "ReferencedContentItemIdentifier" in item
            or (kind != "CONTAINER" and not concept and kind not in _NAMELESS)
            or self.policy.dropped_content(concept, kind)
        )
        if dropped:
            self.tally["X", f"ContentSequence {kind if kind in KINDS else 'other'}"] += 1
        return dropped


_NAMELESS = frozenset(("IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D", "TCOORD"))
KINDS = _NAMELESS | {"TEXT", "PNAME", "DATE", "TIME", "DATETIME", "UIDREF", "CODE", "NUM"}
"""Content items that may be named in a tally: a file's own word for one may be anything."""


def named(tag: int) -> str:
    """A tag's keyword, or the kind of element that it is; never a private name."""
    group = tag >> 16
    if group in OVERLAYS:
        return "Overlay"
    if group in CURVES:
        return "Curve"
    return "Private" if group % 2 else keyword_for_tag(tag) or "Unknown"


def _is(read: str, known: str) -> bool:
    """Whether an element came in the dictionary's representation, or in one of the same kind."""
    listed = set(known.split(" or "))
    alike = _WHOLE if read in _WHOLE else _BYTES if read in _BYTES else frozenset()
    return read in listed or bool(listed & alike)


def _is_standard(item: Dataset) -> bool:
    """Whether an item is no code, or one of a scheme whose meanings are published."""
    if "CodeMeaning" not in item and "CodingSchemeDesignator" not in item:
        return True
    return str(item.get("CodingSchemeDesignator", "")) in tables()["schemes"]


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence") or ()
    if not names:
        return ""
    return f"{names[0].get('CodingSchemeDesignator', '')}:{names[0].get('CodeValue', '')}"


def _still_says(item: Dataset) -> bool:
    """Whether a content item, cleaned, still has what its kind needs."""
    kind = item.get("ValueType")
    named_by = "ConceptNameCodeSequence" not in item or len(item.ConceptNameCodeSequence) > 0
    needs = {
        "CODE": "ConceptCodeSequence",
        "UIDREF": "UID",
        "DATE": "Date",
        "DATETIME": "DateTime",
        "TIME": "Time",
    }
    need = needs.get(str(kind))
    return bool(named_by and (need is None or item.get(need)))
