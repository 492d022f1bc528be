"""Phantoms: seeded drawings of five image families whose annotations are exactly true."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from pydantic import Field

from vesalius.cases.case import Case, Source
from vesalius.cases.picture import Picture
from vesalius.data.phantoms import words
from vesalius.data.phantoms.render import png
from vesalius.data.phantoms.scene import Scene, choose, imagine, jitter, table
from vesalius.data.reading.streams import Streams
from vesalius.errors import DatasetError, UnknownName
from vesalius.settings import Frozen, validated


class PhantomOptions(Frozen):
    """How many phantoms, how large and how hard."""

    cases: dict[str, int] = Field(default={"train": 800, "validation": 100, "test": 200})
    """Cases in each split."""
    size: int = Field(default=96, ge=32, le=1024)
    """Edge of the square picture, in pixels."""
    difficulty: float = Field(default=0.3, ge=0.0, le=1.0)
    """0: bold findings, clear contrast; 1: small, faint ones in noise."""
    families: tuple[str, ...] | None = None
    """Image families to draw from; by default all."""
    seed: int = 0


class Phantom:
    """Case i of a split depends on (seed, split, i) alone, so any number can be drawn."""

    options = PhantomOptions

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Streams:
        """Phantoms as the options say; ``root`` plays no part, a hub is refused."""
        if hub:
            raise DatasetError("phantoms are drawn here, they are on no hub", where=hub)
        chosen = validated(PhantomOptions, options, where="options of phantom")
        for name in chosen.families or ():
            if name not in table()["families"]:
                raise UnknownName("phantom family", name, table()["families"])
        return Streams("phantom", {s: partial(_cases, chosen, s) for s in chosen.cases})


def _cases(options: PhantomOptions, split: str) -> Iterator[Case]:
    for index in range(options.cases[split]):
        yield case(options, split, index)


def case(options: PhantomOptions, split: str, index: int) -> Case:
    """The case at ``index``; every other patient has two pictures, the rest one."""
    patient = index * 2 // 3
    rng = _generator(options.seed, split, 0, index)
    families = options.families or tuple(table()["families"])
    scene = imagine(
        rng,
        choose(rng, families),
        build=jitter(_generator(options.seed, split, 1, patient)),
        pixels=options.size,
        difficulty=options.difficulty,
    )
    name = f"phantom-{split}-{index:06d}"
    return Case(
        id=name,
        group=f"phantom-{split}-patient-{patient:06d}",
        pictures=(_picture(name, scene),),
        questions=tuple(words.questions(rng, scene)),
        caption=words.caption(rng, scene),
        boxes=tuple(finding.box(scene.pixels) for finding in scene.findings),
        concepts=words.concepts(scene),
        modality=table()["families"][scene.family]["modality"],
        context=words.context(_generator(options.seed, split, 2, index)),
        source=Source("phantom", index + 1),
        split=split,
    )


def _picture(name: str, scene: Scene) -> Picture:
    return Picture(f"{name}.png", partial(png, scene))


def _generator(seed: int, split: str, stream: int, index: int) -> np.random.Generator:
    # Philox and SeedSequence are specified bit by bit, so every machine draws the same numbers.
    entropy = (seed, crc32(split.encode()), stream, index)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))
