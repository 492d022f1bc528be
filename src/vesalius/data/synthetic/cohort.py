"""Which phantoms a drawn data set is made of: no two of them alike, no patient in two splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import count, islice
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from vesalius.cases.case import Case
from vesalius.cases.likeness import Thumbnail
from vesalius.cases.picture import Picture
from vesalius.data.datasets.phantom import PhantomOptions, case
from vesalius.data.fingerprints import fingerprint
from vesalius.data.likeness import near_pairs
from vesalius.data.synthetic import Drawn, Layout

QUALITY = 95
"""Of JPEG pictures; colours are not subsampled."""
GROUND = 2
"""A picture is a phantom on a ground of 1 + 1 / ``GROUND`` times its size, somewhere on it."""


def cohort(layout: Layout, cases: Mapping[str, int], seed: int) -> dict[str, list[Drawn]]:
    """So many phantoms a split, of the layout's families, bold (difficulty 0).

    All phantoms of a kind share their anatomy, and few publishers name patients, by which an audit
    would tell them apart. So each lies somewhere else on its ground; of those that still look
    alike the later one is passed over, and the splits pass ``vesalius data audit``. The same seed
    gives the same ones.
    """
    options = PhantomOptions(cases=dict(cases), difficulty=0.0, families=layout.families, seed=seed)
    streams = {split: _drawn(options, split, layout.kind) for split in cases}
    taken: dict[str, list[tuple[Drawn, Thumbnail]]] = {split: [] for split in cases}
    while any(len(taken[split]) < number for split, number in cases.items()):
        for split, number in cases.items():
            taken[split] += islice(streams[split], number - len(taken[split]))
        _pass_over_look_alikes(taken)
    return {split: [one for one, _ in held] for split, held in taken.items()}


def _pass_over_look_alikes(taken: dict[str, list[tuple[Drawn, Thumbnail]]]) -> None:
    everything = [one for held in taken.values() for one in held]
    groups, thumbnails = [o.case.id for o, _ in everything], [small for _, small in everything]
    alike = near_pairs(thumbnails, groups, [False] * len(groups))
    later = {groups[second] for _, second, _ in alike}
    for held in taken.values():
        held[:] = [one for one in held if one[0].case.id not in later]


def _drawn(
    options: PhantomOptions, split: str, kind: Literal["PNG", "JPEG"]
) -> Iterator[tuple[Drawn, Thumbnail]]:
    for index in count():
        phantom, data = _placed(case(options, split, index), kind)
        small = fingerprint(phantom.pictures[0]).thumbnail
        if small is not None:
            yield Drawn(phantom, data), small


def _placed(phantom: Case, kind: Literal["PNG", "JPEG"]) -> tuple[Case, bytes]:
    """The phantom somewhere on its ground, its boxes with it, and the bytes of that picture."""
    with Image.open(BytesIO(phantom.pictures[0].read())) as image:
        size = image.width // GROUND
        # By the id alone, so that a case is the same whatever stands around it.
        seed = np.random.SeedSequence(list(phantom.id.encode()))
        left, top = np.random.Generator(np.random.Philox(seed)).integers(0, size + 1, 2).tolist()
        data = _encoded(ImageOps.expand(image, (left, top, size - left, size - top)), kind)
    picture = Picture(phantom.pictures[0].key, partial(bytes, data))
    boxes = tuple(replace(box, x=box.x + left, y=box.y + top) for box in phantom.boxes or ())
    return replace(phantom, pictures=(picture,), boxes=boxes), data


def _encoded(image: Image.Image, kind: Literal["PNG", "JPEG"]) -> bytes:
    file = BytesIO()
    if kind == "PNG":
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()
