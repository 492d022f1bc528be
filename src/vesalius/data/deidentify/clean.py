"""A data set made anew from what the policy keeps; the source's is left as it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from vesalius.data.deidentify import operators
from vesalius.data.deidentify.codes import meanings
from vesalius.data.deidentify.names import Names
from vesalius.data.deidentify.policy import CURVES, OVERLAYS, Policy, tables
from vesalius.data.deidentify.pseudonyms import Pseudonyms

DEEPEST = 32
"""Sequences within sequences; what lies deeper is removed."""
_CONTENT, _MEANING = 0x0040A730, 0x00080104
_OF_CODES = frozenset((0x00080100, _MEANING))
_WORDS = frozenset(("AE", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"))
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_WHOLE, _BYTES = frozenset(("US", "SS", "UL", "SL")), frozenset(("OB", "OW"))
_SOFT = _WORDS | {"AS", "DS", "IS"}
"""Representations of which a part may stay."""


@dataclass(frozen=True)
class Cleaner:
    """One file's rules: the policy, the pseudonyms, by how many days its dates move, the tally."""

    policy: Policy
    pseudonyms: Pseudonyms
    days: int
    names: Names
    """Of the file's persons: they stay nowhere."""
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many elements met which action, by action and keyword; no values."""
    cleared: Counter[str] = field(default_factory=Counter)
    """In how many elements a name stood, by keyword."""

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
            read = _read(source, tag)
            fits = _is(read.VR, representation)
            done = self._apply(source, read, action, depth) if fits else None
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001
            # Whatever a reader makes of a broken value, it is not one that may stay.
            done = None
        if done is None:
            action = "X"
        elif done.VR in _SOFT and operators.values(done) != operators.values(read):
            action = "C"
        self.count(action, tag)
        return done

    def _apply(
        self, source: Dataset, read: DataElement, action: str, depth: int
    ) -> DataElement | None:
        retain = self.policy.options.retain_uids
        if read.VR == "SQ":
            return self._sequence(read, depth)
        if action == "U" or (action == "K" and read.VR == "UI"):
            return operators.replaced_uid(read, self.pseudonyms, retain)
        if action == "C":
            return operators.shifted_dates(read, self.days)
        known = read.tag in _OF_CODES and _meanings(source)
        if known and read.tag == _MEANING:
            return self._meaning(source, str(read.value))
        kept = operators.keep(read)
        return kept if kept is None or known else self._unnamed(kept)

    def _meaning(self, item: Dataset, said: str) -> DataElement:
        """A known code's meaning, which is the standard's and not the file's."""
        known = _meanings(item)
        if said.strip().casefold() not in {one.casefold() for one in known}:
            self.cleared["CodeMeaning"] += self.names.stand_in(said)
            said = known[0]
        return operators.element(_MEANING, "LO", said)

    def _unnamed(self, kept: DataElement) -> DataElement:
        """The element without the values in which a part of a person's name stands."""
        if kept.VR not in _WORDS:
            return kept
        content = [str(one) for one in operators.values(kept)]
        fits = ["" if self.names.stand_in(one, kept.keyword) else one for one in content]
        if fits == content:
            return kept
        self.cleared[kept.keyword] += 1
        if any(fits):
            return operators.element(kept.tag, kept.VR, fits)
        put = operators.emptied if kept.VR == "CS" else operators.dummy
        return put(kept.tag, kept.VR)

    def _sequence(self, read: DataElement, depth: int) -> DataElement | None:
        if depth + 1 >= DEEPEST:
            return None
        items = [item for item in read.value if _is_standard(item) and not self._is_named(item)]
        if read.tag == _CONTENT:
            items = [item for item in items if not self._is_dropped(item)]
        cleaned = [self.clean(item, depth + 1) for item in items]
        if read.tag == _CONTENT:
            cleaned = [item for item in cleaned if _still_says(item)]
        return operators.element(read.tag, "SQ", Sequence(cleaned))

    def _is_named(self, item: Dataset) -> bool:
        """Whether a code's value is a person's name: without it the item says nothing."""
        named = not _meanings(item) and self.names.stand_in(_code_value(item))
        self.cleared["CodeValue"] += named
        return named

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


def _read(source: Dataset, tag: int) -> DataElement:
    try:
        return source[tag]
    except ValueError:
        # Of numbers as text one is none: those before it can be read.
        raw = source.get_item(tag)
        return convert_raw_data_element(raw._replace(value=operators.readable(raw.value)))


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


def _code_value(item: Dataset) -> str:
    return str(item.get("CodeValue", "")).strip()


def _meanings(item: Dataset) -> tuple[str, ...]:
    scheme = str(item.get("CodingSchemeDesignator", "")).strip()
    return meanings(scheme, _code_value(item)) if scheme else ()


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
