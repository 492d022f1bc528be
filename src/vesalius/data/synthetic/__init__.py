"""The registry of layouts into which phantoms are drawn, and what each entry says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vesalius.cases.case import Case
from vesalius.registry import Registry

_HERE = "vesalius.data.synthetic"

layouts = Registry(
    "drawing",
    {
        "brain_tumor": f"{_HERE}.brain_tumor:LAYOUT",
        "folder": f"{_HERE}.folder:LAYOUT",
        "image_clef": f"{_HERE}.image_clef:LAYOUT",
        "medpix": f"{_HERE}.medpix:LAYOUT",
        "path_vqa": f"{_HERE}.path_vqa:LAYOUT",
        "roco": f"{_HERE}.roco:LAYOUT",
        "slake": f"{_HERE}.slake:LAYOUT",
        "vqa_med": f"{_HERE}.vqa_med:LAYOUT",
        "vqa_rad": f"{_HERE}.vqa_rad:LAYOUT",
    },
)


RADIOLOGY = ("chest_film", "head_mr_t1", "head_mr_t2", "abdomen_ct")
"""The families of phantoms that a radiology set may hold."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A phantom, and the bytes of its picture as the publisher would store them."""

    case: Case
    picture: bytes


Cohort = Mapping[str, Sequence[Drawn]]
"""The phantoms of each split: train, validation, test."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How one publisher ships a data set; what of a phantom its files cannot say is left out."""

    write: Callable[[Path, Cohort], None]
    """Writes all files of the set into an empty folder."""
    families: tuple[str, ...]
    """The families of phantoms that this publisher's pictures could be of."""
    kind: Literal["PNG", "JPEG"] = "PNG"
    """The format of its pictures."""
    splits: str | None = None
    """The split file beside the set, where the publisher's files name no splits by image."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the reader is told, unless a recipe keeps its own word."""
    keeps: tuple[str, ...] = ()
    """The reader's options whose values a recipe keeps: the drawing serves them all."""
