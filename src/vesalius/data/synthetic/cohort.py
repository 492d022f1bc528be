"""Which phantoms a drawn data set is made of: no two of them alike, no patient in two splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import count, islice
from typing import Literal

import numpy as np
from PIL import Image

from vesalius.cases.picture import Picture
from vesalius.data.datasets.phantom import PhantomOptions, case
from vesalius.data.fingerprints import NEAR, Hash, fingerprint
from vesalius.data.synthetic import Drawn, Layout

QUALITY = 95
"""Of JPEG pictures; colours are not subsampled."""


def cohort(layout: Layout, cases: Mapping[str, int], seed: int) -> dict[str, list[Drawn]]:
    """So many phantoms a split, of the layout's families, bold (difficulty 0).

    Phantoms are drawn independently, so a few look alike by chance; of those the later one is
    passed over, so that the splits pass ``vesalius data audit``. The same seed gives the same ones.
    """
    options = PhantomOptions(cases=dict(cases), difficulty=0.0, families=layout.families, seed=seed)
    seen: list[tuple[Hash, Hash]] = []
    return {
        split: list(islice(_unlike(seen, options, split, layout.kind), number))
        for split, number in cases.items()
    }


def _unlike(
    seen: list[tuple[Hash, Hash]], options: PhantomOptions, split: str, kind: Literal["PNG", "JPEG"]
) -> Iterator[Drawn]:
    for index in count():
        phantom = case(options, split, index)
        picture = _encoded(phantom.pictures[0], kind)
        like = fingerprint(Picture(phantom.id, lambda data=picture: data))  # type: ignore[misc]
        if like.dhash is None or like.mirrored is None:
            continue
        pair = (like.dhash, like.mirrored)
        if not any(_near(pair, other) for other in seen):
            seen.append(pair)
            yield Drawn(phantom, picture)


def _near(one: tuple[Hash, Hash], other: tuple[Hash, Hash]) -> bool:
    pairs = ((one[0], other[0]), (one[0], other[1]), (one[1], other[0]))
    return any(int(np.bitwise_count(a ^ b).sum()) <= NEAR for a, b in pairs)


def _encoded(picture: Picture, kind: Literal["PNG", "JPEG"]) -> bytes:
    data = picture.read()
    if kind == "PNG":
        return data
    file = BytesIO()
    with Image.open(BytesIO(data)) as image:
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()
