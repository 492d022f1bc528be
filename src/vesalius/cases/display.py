"""What a viewer writes beside a DICOM picture: window, sides, scale, pace. Reads no file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Self

Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Display:
    """Of all frames of a picture; None where the header does not say, or not the same of each.

    ``window``: centre and width of the middle frame's own view in modality units, None in colour.
    ``inverted``: whether high values are dark.
    ``sides``: letters at the left, right, upper and lower edge, of R L A P H F. ``spacing``: mm
    from pixel to pixel, down and across. ``rate``: frames a second.
    """

    window: Pair | None = None
    sides: tuple[str, str, str, str] | None = None
    spacing: Pair | None = None
    rate: float | None = None
    inverted: bool = False

    def to_row(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """From :meth:`to_row`."""
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
        }
        return cls(**values)
