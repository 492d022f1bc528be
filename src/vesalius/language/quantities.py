"""Numbers as they are written, whole: sign, thousands, decimals, the letter before, the unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from vesalius.language.script import normalised

NUMBER = (
    r"(?:(?<![\w)\]%])[-+])?"  # a sign, no hyphen: "-30", but not "3-4" and "covid-19"
    r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9,])(?:\.[0-9]+)?"  # 1,200
    r"|(?<![0-9],)[0-9]+,[0-9]+(?![0-9,])"  # 2,5; but "1,2,3" is three numbers
    r"|[0-9]+(?:\.[0-9]+)?"
    r"|(?<![\w.])\.[0-9]+)"
)
"""A number in a normalised text."""
_UNITS: dict[str, tuple[str, str]] = {
    **{unit: ("m", size) for unit, size in (("mm", ".001"), ("cm", ".01"), ("m", "1"))},
    **dict.fromkeys(("\u03bcm", "um", "micron", "microns"), ("m", ".000001")),
    **{unit: ("l", size) for unit, size in (("ml", ".001"), ("cc", ".001"), ("dl", ".1"))},
    **dict.fromkeys(("l", "liter", "liters", "litre", "litres"), ("l", "1")),
    **{unit: ("g", size) for unit, size in (("mg", ".001"), ("g", "1"), ("kg", "1000"))},
    **{
        f"{long}met{end}": ("m", size)
        for long, size in (("milli", ".001"), ("centi", ".01"))
        for end in ("er", "ers", "re", "res")
    },
    **dict.fromkeys(("%", "percent"), ("%", "1")),
    "hu": ("hu", "1"),
}
"""Unit -> what it measures, and how much of that it is."""
_SPELLED = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_QUANTITY = re.compile(
    rf"(?P<letter>(?<![^\W_])(?:(?!x)[^\W\d_]|(?<![0-9] )x)(?=[0-9]))?(?P<number>{NUMBER})"
    rf"(?:[ -]?(?P<unit>{_SPELLED})(?![^\W_]))?"
)
_JOINED = re.compile(r"\s*(?:x|×|\*|by|to|-|and|or)\s*")


class Quantity(NamedTuple):
    """A number with its unit: metres, litres, grams ... where it has one that is known."""

    value: str
    unit: str | None = None

    def equals(self, other: Quantity) -> bool:
        """Whether both are one quantity, 25 mm and 2.5 cm included; a missing unit may be any."""
        if self.unit is not None and other.unit is not None:
            return _sized(self) == _sized(other)
        return self.value == other.value


def quantities(text: str) -> list[Quantity]:
    """The numbers of a text with their units, and the letter before them: "T1" and "L4" included.

    ``1,200`` is 1200, ``12.0`` is 12, ``2,5`` is 2.5, ``-30`` is no 30; "2x3 cm" are two lengths.
    """
    content = normalised(text).lower()
    return list(_with_units(content, list(_QUANTITY.finditer(content))))[::-1]


def canonical(number: str) -> str:
    """A written number without thousands' marks, plus and surplus noughts."""
    grouped = re.fullmatch(r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", number)
    plain = number.replace(",", "" if grouped else ".").lstrip("+")
    minus, digits = plain.startswith("-"), plain.lstrip("-")
    whole, _, part = digits.partition(".")
    size = ".".join(filter(None, (whole.lstrip("0") or "0", part.rstrip("0"))))
    return f"-{size}" if minus and size != "0" else size


def _with_units(content: str, matches: list[re.Match[str]]) -> Iterator[Quantity]:
    """The quantities, the last first: a number takes the unit of the one that it is joined to."""
    unit, start = None, len(content)
    for match in reversed(matches):
        joined = _JOINED.fullmatch(content[match.end() : start])
        unit = match["unit"] or (unit if joined else None)
        start = match.start()
        yield Quantity((match["letter"] or "") + canonical(match["number"]), unit)


def _sized(quantity: Quantity) -> tuple[str, Decimal] | str:
    kind, size = _UNITS[quantity.unit or ""]
    if not re.fullmatch(r"-?[0-9]+(?:\.[0-9]+)?", quantity.value):
        return quantity.value  # "T1 cm": the letter makes it a name
    return kind, Decimal(quantity.value) * Decimal(size)
