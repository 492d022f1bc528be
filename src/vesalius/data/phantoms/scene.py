"""What one phantom shows, before a pixel is drawn: family, view, findings and their places.

Sides are the patient's own: in radiology the picture's left is the patient's right. Histology has
no patient's side, so there it is the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from vesalius.cases.case import Box
from vesalius.system.tables import packaged_table

# Of 20 pictures 12 are abnormal. A presence question asks about the kind that is there five times
# of six, so that it is answered "yes" half the time: 12/20 × 5/6 = 1/2.
ABNORMAL = 12, 20
HIT = 5, 6


@dataclass(frozen=True, slots=True)
class Finding:
    """A drawn finding; centre and half-axes are fractions of half the picture from its centre."""

    kind: str
    side: str
    place: str
    size: str
    x: float
    y: float
    rx: float
    ry: float

    def box(self, pixels: int) -> Box:
        """Its rectangle in a picture of ``pixels`` × ``pixels``."""
        half = pixels / 2
        left, top = (
            max(0.0, half * (1 + c - r)) for c, r in ((self.x, self.rx), (self.y, self.ry))
        )
        right = min(float(pixels), half * (1 + self.x + self.rx))
        bottom = min(float(pixels), half * (1 + self.y + self.ry))
        x, y, width, height = (round(v, 2) for v in (left, top, right - left, bottom - top))
        return Box(x, y, width, height, label=self.kind)


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that decides a phantom's pixels.

    ``build`` in [-1, 1] is the patient's, from slim to broad; ``texture`` seeds clouds and grain,
    which are the same with and without findings; ``pixels`` is the edge length.
    """

    family: str
    view: str
    findings: tuple[Finding, ...]
    build: float
    texture: tuple[int, ...]
    pixels: int
    difficulty: float

    @property
    def side(self) -> str | None:
        """``left``, ``right`` or ``both``; None without a finding."""
        sides = {finding.side for finding in self.findings}
        return None if not sides else "both" if len(sides) == 2 else sides.pop()


@lru_cache(maxsize=1)
def table() -> Any:
    """The families, their places and words, as in ``table.yaml``."""
    return packaged_table(__package__, "table.yaml")


def chance(rng: np.random.Generator, odds: tuple[int, int]) -> bool:
    """True ``odds[0]`` times of ``odds[1]``."""
    return int(rng.integers(odds[1])) < odds[0]


def choose(rng: np.random.Generator, among: Any) -> Any:
    """One of a sequence (or of a mapping's keys), each as likely."""
    options = list(among)
    return options[int(rng.integers(len(options)))]


def jitter(rng: np.random.Generator) -> float:
    """One of 2,001 numbers from -1 to 1."""
    return (int(rng.integers(2001)) - 1000) / 1000


def imagine(
    rng: np.random.Generator, family: str, *, build: float, pixels: int, difficulty: float
) -> Scene:
    """A scene of ``family``: normal, or with up to three findings of one kind and size."""
    about = table()["families"][family]
    view = choose(rng, about["views"])
    findings: tuple[Finding, ...] = ()
    if chance(rng, ABNORMAL):
        findings = _findings(rng, about, about["views"][view]["places"], difficulty)
    texture = tuple(int(word) for word in rng.integers(2**32, size=2))
    return Scene(family, view, findings, build, texture, pixels, difficulty)


def _findings(
    rng: np.random.Generator, about: Any, places: Any, difficulty: float
) -> tuple[Finding, ...]:
    kind = choose(rng, about["kinds"])
    size = choose(rng, ("small", "large"))
    count = 1 + int(rng.integers(about["kinds"][kind]["most"]))
    first = choose(rng, ("left", "right"))
    other = "left" if first == "right" else "right"
    # Two or three findings are on both sides half the time.
    across = count > 1 and chance(rng, (1, 2))
    sides = [first] * (count - across) + [other] * across
    order = [int(i) for i in rng.permutation(3)]
    radii = [radius(size, difficulty) * (1 + 0.06 * jitter(rng)) for _ in sides]
    if kind == "pleural effusion":
        return (_fluid(kind, first, size, radii[0]),)
    return tuple(
        _lump(rng, kind, side, places[side][order[i]], size=size, r=r)
        for i, (side, r) in enumerate(zip(sides, radii, strict=True))
    )


def radius(size: str, difficulty: float) -> float:
    """The radius of a small or large finding: 12.5 or 21 px across at 96 px, down to 5.5 or 12."""
    bold, faint = (12.5, 5.5) if size == "small" else (21.0, 12.0)
    return (bold + (faint - bold) * difficulty) / 96


def _lump(
    rng: np.random.Generator, kind: str, side: str, place: Any, *, size: str, r: float
) -> Finding:
    name, x, y = place
    stretch = 1 + 0.08 * jitter(rng)
    x, y = x + 0.03 * jitter(rng), y + 0.03 * jitter(rng)
    return Finding(kind, side, name, size, x, y, r * stretch, r / stretch)


def _fluid(kind: str, side: str, size: str, r: float) -> Finding:
    # Fluid gathers over the diaphragm, in the outer corner of the lung.
    x, height = -0.47 if side == "right" else 0.52, 1.25 * r
    place = f"the {side} pleural space"
    return Finding(kind, side, place, size, x, 0.62 - height, 0.25, height)
