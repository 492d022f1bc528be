"""Clustered resamples of average precision: all at once against a loop over resamples.

Drawn images (80 % with one to three boxes of two classes, groups of about four) with up to 30
predicted boxes each. The loop is what one writes without sufficient statistics: for every resample
the matched boxes of the drawn images are put together, ordered and summed; the matching itself is
not repeated, so the ratio flatters nobody. It is timed on $LOOP resamples and scaled. Both must
give the same mAP, AP50 and AP75 on those resamples, or the benchmark ends.

    python benchmarks/ap_resamples.py --images 2000 --resamples 10000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time

import numpy as np

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics.detection import Detection
from vesalius.evaluation.metrics.detection.matching import AREAS, MOST, WIDTH, Boxes
from vesalius.evaluation.metrics.detection.precision import RECALLS, coco
from vesalius.evaluation.stats import bootstrap, clusters, resampled


def drawn(images: int, seed: int = 0) -> list[Prediction]:
    """Predictions with references, some of them negatives."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(images):
        count = int(rng.integers(1, 4)) if rng.random() < 0.8 else 0
        gold = [
            Box(*rng.uniform(0, 300, 2), *rng.uniform(20, 120, 2), str(rng.choice(["a", "b"])))
            for _ in range(count)
        ]
        near = [
            Box(
                *np.maximum(0, rng.normal((g.x, g.y), 5)),
                *np.array([g.width, g.height]) * rng.uniform(0.8, 1.2, 2),
                g.label,
                score=float(rng.beta(4, 2)),
            )
            for g in gold
        ]
        far = [
            Box(*rng.uniform(0, 300, 2), 40, 40, str(rng.choice(["a", "b"])), score=float(s))
            for s in rng.beta(1, 6, rng.integers(0, 28))
        ]
        rows.append(
            Prediction(
                str(i),
                Answer(boxes=(*near, *far)),
                references=(Answer(boxes=tuple(gold)),),
                group=str(i // 4),
            )
        )
    return rows


def one(matches: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> list[float]:
    """mAP, AP50 and AP75 of one resample, as a loop computes them."""
    precisions = []
    for code in range(truth.shape[1]):
        boxes = Boxes.of(matches[:, code])
        positives = weights @ truth[:, code, 0]
        times = weights[boxes.row][:, None]
        hits = np.cumsum(times * boxes.right, axis=0)
        precision = hits / np.maximum(np.cumsum(times, axis=0), np.spacing(1))
        highest = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        each = []
        for t in range(boxes.right.shape[1]):
            places = np.searchsorted(hits[:, t] / positives, RECALLS, side="left")
            each.append(highest[places[places < len(hits)], t].sum() / len(RECALLS))
        precisions.append(each)
    means = np.mean(precisions, axis=0)
    return [float(means.mean()), float(means[0]), float(means[5])]


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=10_000)
    options = parser.parse_args()
    rows = drawn(options.images)
    started = time.perf_counter()
    metric = Detection()
    table = metric.measure(rows)
    matching = time.perf_counter() - started
    groups = clusters([row.group for row in rows])
    n, classes = len(rows), table["truth"].shape[1] // len(AREAS)
    matches = table["matches"].reshape(n, classes + 1, MOST, WIDTH)
    truth = table["truth"].reshape(n, classes, len(AREAS))

    def precise(weights: np.ndarray) -> dict[str, np.ndarray]:
        return dict(coco(matches, truth, weights, areas=1))

    times: dict[str, float] = {"matching_once": matching}
    for name, statistic in (
        ("ap_family", precise),
        ("all_scores", lambda w: metric.aggregate(table, w)),
    ):
        started = time.perf_counter()
        values = bootstrap(statistic, groups, options.resamples, seed=0)
        times[name] = time.perf_counter() - started
    loops = min(int(os.environ.get("LOOP", "20")), options.resamples)
    weights = next(resampled(groups, options.resamples, 0))[:loops]
    started = time.perf_counter()
    by_loop = np.array([one(matches, truth, row) for row in weights])
    times["loop"] = (time.perf_counter() - started) / loops * options.resamples
    names = ("map", "ap50", "ap75")
    at_once = np.stack([values[f"detection.{k}"][:loops] for k in names], axis=1)
    if not np.allclose(by_loop, at_once):
        raise SystemExit("the loop finds other values")
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
                "images": n,
                "boxes": sum(len(row.answer.boxes or ()) for row in rows),
                "resamples": options.resamples,
                "seconds": {k: round(v, 2) for k, v in times.items()},
                "ratio_ap_family": round(times["loop"] / times["ap_family"], 1),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
