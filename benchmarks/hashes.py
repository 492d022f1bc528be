"""Copies across splits among many pictures: our search beside imagededup's, in one run.

    pip install imagededup   # the peer; without it only our own figures are printed
    python benchmarks/hashes.py --pictures 100000

Pictures are smooth noise, drawn at 96 pixels: four fifths are training, the rest test. Every
hundredth is a test picture that training has, changed in one of twelve ways in turn (those of
``copies.py``). Recall counts the copies that are joined with their original, false pairs all
others across the splits. Making hashes and looking for pairs are timed apart, from arrays in
memory on both sides, so that no disk takes part.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from copies import CHANGES
from PIL import Image

from vesalius.cases.likeness import thumbnail
from vesalius.data.likeness import near_pairs

SIDE = 96
COPIES = 100
"""Every so many pictures one is a copy."""
Pairs = set[tuple[int, int]]
Result = TypeVar("Result")


def picture(number: int) -> Image.Image:
    """Smooth noise of three scales, another for each number."""
    rng = np.random.default_rng(number)
    levels = np.zeros((SIDE, SIDE), np.float32)
    for cells in (6, 12, 24):
        coarse = Image.fromarray(rng.normal(size=(cells, cells)).astype(np.float32))
        levels += np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return Image.fromarray((128 + 40 * levels).clip(0, 255).astype(np.uint8))


def pictures(number: int) -> Iterator[tuple[Image.Image, str]]:
    """Every picture with the name of its change; the last ones are test pictures."""
    changes = list(CHANGES.items())
    copies = number // COPIES
    for at in range(number - copies):
        yield picture(at), ""
    for at in range(copies):
        name, change = changes[at % len(changes)]
        yield change(picture(at)), name


def timed(label: str, work: Callable[[], Result]) -> Result:
    """What it gives; its processor time and that of its processes, which other work leaves alone."""
    before, started = os.times(), time.perf_counter()
    result = work()
    spent = sum(os.times()[:4]) - sum(before[:4])
    print(
        f"  {label}: {spent:.1f} s of one core, {time.perf_counter() - started:.1f} s", flush=True
    )
    return result


def ours(images: list[Image.Image], splits: list[str]) -> Pairs:
    thumbnails = timed("thumbnails", lambda: [thumbnail(one) for one in images])
    groups, patients = [str(at) for at in range(len(images))], [False] * len(images)
    pairs = timed("search", lambda: list(near_pairs(thumbnails, groups, patients)))
    return {(i, j) for i, j, _ in pairs if splits[i] != splits[j]}


def theirs(images: list[Image.Image], splits: list[str]) -> Pairs:
    from imagededup.methods import PHash

    hasher = PHash(verbose=False)
    arrays = [np.asarray(one) for one in images]
    hashes = timed("hashes", lambda: [hasher.encode_image(image_array=one) for one in arrays])
    named = {str(at): one for at, one in enumerate(hashes)}
    some = timed(
        "search",
        lambda: hasher.find_duplicates(encoding_map=named, max_distance_threshold=10),
    )
    pairs = ((int(a), int(b)) for a, others in some.items() for b in others)
    return {(min(p), max(p)) for p in pairs if splits[p[0]] != splits[p[1]]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--only", choices=("vesalius", "imagededup"))
    chosen = parser.parse_args()
    logging.disable()
    number = chosen.pictures
    print(platform.machine(), os.cpu_count(), "cores, Python", platform.python_version())
    drawn = list(pictures(number))
    images, names = [one for one, _ in drawn], [name for _, name in drawn]
    splits = ["train" if at < number * 4 // 5 else "test" for at in range(number)]
    copies = number // COPIES
    truth = {at: (at, number - copies + at) for at in range(copies)}
    for name, find in {"vesalius": ours, "imagededup": theirs}.items():
        if chosen.only not in (None, name):
            continue
        print(f"{name}, {number:,} pictures, {copies:,} copies", flush=True)
        try:
            pairs = find(images, splits)
        except ModuleNotFoundError as error:
            print(f"  not here: {error}")
            continue
        joined = [at for at, pair in truth.items() if pair in pairs]
        by_change = Counter(names[truth[at][1]] for at in joined)
        total = Counter(names[pair[1]] for pair in truth.values())
        print(f"  recall {len(joined) / copies:.3f}; {len(pairs) - len(joined)} false pairs")
        print("  " + "; ".join(f"{k} {by_change[k]}/{n}" for k, n in total.items()))


if __name__ == "__main__":
    main()
