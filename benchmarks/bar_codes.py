"""Bar codes: how many drawn ones are found for sure, and how many pictures without any are blamed.

python benchmarks/bar_codes.py ../shared/data
"""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from vesalius.data.bar_codes import find_bar_codes

PICTURES, DRAWN = 600, 120
SETS = ("vqa_rad", "vqa_med_2019", "brain_tumor_cc0", "medpix2")


def bars(rng: np.random.Generator, most: int) -> np.ndarray:
    """Bars of one to four modules, a module one to three pixels, 25 to 60 pixels high."""
    module = int(rng.integers(1, 4))
    widths = rng.integers(1, 5, 60) * module
    line = np.concatenate([np.full(w, 255 * (at % 2), np.uint8) for at, w in enumerate(widths)])
    rows = int(rng.integers(25, 60))
    return np.pad(np.tile(line[:most], (rows, 1)), 8, constant_values=255)


def main(root: Path) -> None:
    names = ("*.png", "*.jpg", "*.jpeg")
    every = [p for s in SETS for n in names for p in sorted((root / s / "images").rglob(n))]
    paths = random.Random(0).sample(every, PICTURES)
    blamed = sum(bool(find_bar_codes(Image.open(path), sure=True)) for path in paths)
    rng, found, drawn = np.random.default_rng(0), 0, 0
    for at, path in enumerate(paths[:DRAWN]):
        picture = np.asarray(Image.open(path).convert("L")).copy()
        if picture.shape[0] < 200 or picture.shape[1] < 330:
            continue
        code = bars(rng, picture.shape[1] - 60)
        rows, columns = code.shape
        y = int(rng.integers(0, picture.shape[0] - rows))
        x = int(rng.integers(0, picture.shape[1] - columns))
        picture[y : y + rows, x : x + columns] = code
        image = Image.fromarray(picture)
        if at % 3 == 1:
            image.save(file := io.BytesIO(), "JPEG", quality=80)
            image = Image.open(file)
        drawn += 1
        found += bool(find_bar_codes(image, sure=True))
    print(
        f"{blamed} of {len(paths)} pictures without a code are blamed; {found} of {drawn} drawn codes found"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
