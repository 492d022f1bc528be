"""A view: which frame of a picture's file is shown, and through which window."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_MARK = re.compile(r"(?:#frame=(\d+))?(?:#window=([-+.\de]+),([-+.\de]+))?\Z")


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a file: ``frame`` (0-based) and ``window`` (centre, width; modality units).

    None leaves the choice to the file: a DICOM's middle frame and own window, a TIFF's first page.
    """

    frame: int | None = None
    window: tuple[float, float] | None = None

    @property
    def mark(self) -> str:
        """What a picture's key says of the view: ``#frame=2#window=40,400``; empty for the own."""
        frame = "" if self.frame is None else f"#frame={self.frame}"
        window = self.window
        return frame + ("" if window is None else f"#window={window[0]:.10g},{window[1]:.10g}")

    def of(self, key: str) -> str:
        """The key of the same picture in this view."""
        return bare(key) + self.mark

    @classmethod
    def in_key(cls, key: str) -> View:
        """The view that a picture's key names."""
        frame, centre, width = _MARK.findall(key)[0]
        window = (float(centre), float(width)) if centre else None
        return cls(int(frame) if frame else None, window)


class DicomWindow(NamedTuple):
    """How a grey picture is shown: its modality's code, and the window in modality units."""

    modality: str | None
    centre: float
    width: float


CT_WINDOWS = {
    "Lung": (-600.0, 1500.0),
    "Soft tissue": (50.0, 400.0),
    "Bone": (400.0, 1800.0),
    "Brain": (40.0, 80.0),
    "Liver": (60.0, 160.0),
}
"""Usual windows of a CT: (centre, width) in Hounsfield units."""
OWN_VIEW = View()
"""The file's own."""


def bare(key: str) -> str:
    """A picture's key without the mark of its view."""
    return _MARK.sub("", key)
