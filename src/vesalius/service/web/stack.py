"""A picture as a stack of frames, or a series of pictures, with what a header says to a viewer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.service.http.schemas import DisplayOut, Uploaded, Window
from vesalius.service.web import words
from vesalius.service.web.viewer import Marks, Pair, Scene, Slice

OWN = "File's own"
SEVERAL = frozenset({"dicom", "tiff"})
"""Kinds of which every frame is kept."""
ALT = "The uploaded picture as the model sees it"


@dataclass(frozen=True, slots=True)
class Stack:
    """An image and what is told of it; None where the service only has the picture.

    ``series``: the images it stands among, itself one of them, in order; of no study it is alone.
    """

    image: str
    facts: Uploaded | None
    series: Sequence[str] = ()

    @property
    def frames(self) -> int | None:
        """How many frames can be chosen from; None where it is one picture."""
        facts = self.facts
        several = facts is not None and facts.frames > 1 and facts.kind in SEVERAL
        return facts.frames if facts is not None and several else None

    def frame(self, wanted: int | None) -> int | None:
        """The frame that is shown where this one is wanted; None where there is nothing to choose.

        It is the one that the API gives by itself, where none or none of its own is wanted.
        """
        if self.facts is None:
            return wanted
        if self.frames is None:
            return None
        first = self.frames // 2 if self.facts.kind == "dicom" else 0
        return wanted if wanted is not None and wanted < self.frames else first

    def window(self, wanted: Window | None) -> Window | None:
        """The window that is shown where this one is wanted: only a DICOM picture has any."""
        return wanted if self.facts is None or self.facts.kind == "dicom" else None

    def scene(
        self,
        ticket: str,
        *,
        frame: int | None,
        window: Pair | None,
        move: bool,
        marks: Sequence[Marks] = (),
    ) -> Scene:
        """What the viewer shows of it, at this view."""
        slices = self.slices(frame)
        display = self.facts.display if self.facts else None
        header = display or DisplayOut(window=None, sides=None, spacing=None, rate=None)
        own = None if header.window is None else header.window.pair
        ct = self.facts is not None and self.facts.modality == "CT"
        presets = {name: preset.pair for name, preset in words.PRESETS.items()} if ct else {}
        return Scene(
            key=slices[0].image,
            alt=ALT,
            ticket=ticket,
            slices=slices,
            at=slices.index(Slice(self.image, frame)),
            window=window,
            move=move,
            own=own,
            presets={OWN: None, **presets},
            unit=" HU" if ct else "",
            inverted=header.inverted,
            sides=header.sides,
            spacing=header.spacing,
            rate=header.rate,
            marks=marks,
        )

    def slices(self, frame: int | None) -> list[Slice]:
        """What can be gone through: frames of an image that has several, else its series."""
        if self.frames is not None:
            return [Slice(self.image, number) for number in range(self.frames)]
        if self.series:
            return [Slice(one) for one in self.series]
        return [Slice(self.image, frame)]
