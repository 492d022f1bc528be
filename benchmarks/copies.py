"""Pictures saved again: how many copies the audit finds, beside imagededup's hashes, in one run.

    pip install imagededup   # the peer; without it only our own figures are printed
    python benchmarks/copies.py --phantoms 1000 --root ../shared/data/brain_tumor_br35h/images

Each picture is changed in twelve ways and looked for among the originals. Recall counts the copies
that are joined with their original; false pairs are counted among the originals of different
phantom patients. Pairs among the originals of ``--root`` are written to ``--pairs``, right or wrong.
"""

from __future__ import annotations

import argparse
import io
import logging
import platform
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vesalius.cases.likeness import thumbnail
from vesalius.data.likeness import near_pairs
from vesalius.data.open import open_dataset

TURN = Image.Transpose
Change = Callable[[Image.Image], Image.Image]
Pairs = set[tuple[int, int]]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue())).convert("L")


def windowed(image: Image.Image, low: float, high: float) -> Image.Image:
    """Between two percentiles of what is not ground."""
    levels = np.asarray(image, np.float32)
    shown = levels[levels > 5] if (levels > 5).any() else levels
    bottom, top = np.percentile(shown, [low, high])
    grey = (levels - bottom) / max(2, top - bottom) * 255
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8))


def cropped(
    image: Image.Image, left: float, top: float, right: float, bottom: float
) -> Image.Image:
    width, height = image.size
    return image.crop((
        round(width * left), round(height * top),
        round(width * (1 - right)), round(height * (1 - bottom)),
    ))  # fmt: skip


CHANGES: dict[str, Change] = {
    "JPEG 75": lambda image: jpeg(image, 75),
    "JPEG 30": lambda image: jpeg(image, 30),
    "half the size": lambda image: image.resize((image.width // 2, image.height // 2)),
    "window, bright part": lambda image: windowed(image, 30, 100),
    "window, dark part": lambda image: windowed(image, 0, 70),
    "cropped by 2 %": lambda image: cropped(image, 0.01, 0.01, 0.01, 0.01),
    "cropped at a corner": lambda image: cropped(image, 0.02, 0.02, 0, 0),
    "quarter turn": lambda image: image.transpose(TURN.ROTATE_90),
    "half turn": lambda image: image.transpose(TURN.ROTATE_180),
    "flipped": ImageOps.mirror,
    "negated": ImageOps.invert,
    "window, crop, JPEG": lambda image: jpeg(
        cropped(windowed(image, 10, 85), 0.01, 0.01, 0.01, 0.01), 75
    ),
}


def ours(pictures: list[Image.Image], patients: bool) -> Pairs:
    groups = [str(number) for number in range(len(pictures))]
    thumbnails = [thumbnail(picture) for picture in pictures]
    return {(i, j) for i, j, _ in near_pairs(thumbnails, groups, [patients] * len(pictures))}


def imagededup(pictures: list[Image.Image], method: str) -> Pairs:
    from imagededup.methods import DHash, PHash

    with tempfile.TemporaryDirectory() as folder:
        for number, picture in enumerate(pictures):
            picture.save(Path(folder) / f"{number}.png")
        hasher = {"phash": PHash, "dhash": DHash}[method](verbose=False)
        found = hasher.find_duplicates(image_dir=folder, max_distance_threshold=10)
    pairs = ((int(Path(a).stem), int(Path(b).stem)) for a, others in found.items() for b in others)
    return {(min(pair), max(pair)) for pair in pairs}


def measure(
    name: str, find: Callable[[list[Image.Image]], Pairs], pictures: list[Image.Image], changed: int
) -> None:
    started = time.perf_counter()
    among = find(pictures)
    seconds = time.perf_counter() - started
    recalls = []
    for label, change in CHANGES.items():
        copies = [change(picture) for picture in pictures[:changed]]
        found = find([*pictures, *copies])
        hits = sum((n, len(pictures) + n) in found for n in range(changed))
        recalls.append(f"{label} {hits}/{changed}")
    print(f"  {name}: {len(among)} pairs among {len(pictures)} originals, {seconds:.1f} s")
    print("    " + "; ".join(recalls), flush=True)


def finders(patients: bool) -> dict[str, Callable[[list[Image.Image]], Pairs]]:
    own = {"vesalius": lambda pictures: ours(pictures, patients)}
    try:
        release = version("imagededup")
    except ModuleNotFoundError:
        return own
    return own | {
        f"imagededup {release} {method}": (lambda pictures, m=method: imagededup(pictures, m))
        for method in ("phash", "dhash")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--phantoms", type=int, default=300)
    parser.add_argument("--root", type=Path, help="a folder of pictures besides")
    parser.add_argument("--pairs", type=Path, help="the file for the pairs that we find there")
    parser.add_argument("--changed", type=int, default=100, help="pictures that are changed")
    chosen = parser.parse_args()
    logging.disable()  # imagededup tells of each step
    print(platform.processor() or platform.machine(), "Python", platform.python_version())
    cases = open_dataset("phantom", options={"cases": {"test": chosen.phantoms}}).cases("test")
    firsts = {case.group: case for case in cases}
    phantoms = [case.pictures[0].pixels().convert("L") for case in firsts.values()]
    print(f"phantoms, one of each of {len(phantoms)} patients; pairs among them are false")
    for name, find in finders(patients=True).items():
        measure(name, find, phantoms, min(chosen.changed, len(phantoms)))
    if chosen.root:
        paths = sorted(
            p for p in chosen.root.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".jpeg"}
        )
        pictures = [Image.open(path).convert("L") for path in paths]
        print(f"{chosen.root.parent.name}: {len(pictures)} pictures, patients unknown")
        if chosen.pairs:
            lines = (f"{paths[i]}\t{paths[j]}\n" for i, j in sorted(ours(pictures, patients=False)))
            chosen.pairs.write_text("".join(lines))
        for name, find in finders(patients=False).items():
            measure(name, find, pictures, min(chosen.changed, len(pictures)))


if __name__ == "__main__":
    main()
