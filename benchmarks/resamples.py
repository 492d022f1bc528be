"""Clustered resamples of every score at once, against scipy.stats.bootstrap and a plain loop.

Drawn answers (half closed, half short phrases with references of other words) in groups of about
four. Ours draws whole groups and folds tables of sufficient statistics, all metrics under the same
weights. Both others do what one writes without such tables: a resample gathers the rows of the
drawn groups and scores them, from row values where a score is a mean (the texts are not read
again, so the ratio flatters nobody), from counts where it is of the corpus. They are timed on
$LOOP resamples and scaled. All three must give the same values where they draw the same groups, or
the benchmark ends. Seconds are the processor's, which other work on the machine leaves alone.

    python benchmarks/resamples.py --items 20000 --resamples 10000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap as scipy_bootstrap

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.measuring import Measured, measure
from vesalius.evaluation.scoring import scores
from vesalius.evaluation.stats import resampled

METRICS = ["squad", "closed", "rouge", "bleu", "bleu_coco", "tolerant", "calibration", "length"]
WORDS = [
    "left",
    "right",
    "lung",
    "liver",
    "mass",
    "effusion",
    "no",
    "small",
    "large",
    "ct",
    "mri",
    "of",
    "the",
    "with",
    "nodule",
]
LOOP = int(os.environ.get("LOOP", "20"))


def drawn(items: int, seed: int = 0) -> list[Prediction]:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(items):
        if i % 2:
            gold, reply = rng.choice(["yes", "no"], 2, p=[0.6, 0.4])
        else:
            gold = " ".join(rng.choice(WORDS, rng.integers(1, 9)))
            reply = gold if rng.random() < 0.4 else " ".join(rng.choice(WORDS, rng.integers(1, 9)))
        rows.append(
            Prediction(
                str(i),
                Answer(str(reply)),
                references=(Answer(str(gold)),),
                kind="closed" if i % 2 else "open",
                group=str(i // 4),
                confidence=Confidence(float(rng.random()), "drawn"),
            )
        )
    return rows


def rescored(parts: Sequence[Measured], rows: np.ndarray) -> np.ndarray:
    """Every score of the given rows, as a loop has them: a table of these rows, each counted once."""
    ones = np.ones((1, len(rows)))
    values = []
    for part in parts:
        table = {name: column[rows] for name, column in part.table.items()}
        values += [value[0] for value in part.metric.aggregate(table, ones).values()]
    return np.array(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    arguments = parser.parse_args()
    predictions = drawn(arguments.items)
    groups = np.array([int(p.group or 0) for p in predictions])
    members = np.split(np.arange(len(groups)), np.flatnonzero(np.diff(groups)) + 1)

    started = time.process_time()
    parts = measure(predictions, METRICS)
    measuring = time.process_time() - started

    weights = next(resampled(groups, 1, seed=3))
    places = np.repeat(np.arange(len(groups)), weights[0].astype(int))
    ours_once = np.concatenate(
        [[v[0] for v in p.metric.aggregate(p.table, weights).values()] for p in parts]
    )
    started = time.process_time()
    anew = measure([predictions[i] for i in places], METRICS)
    of_texts = rescored(anew, np.arange(len(places)))
    texts = (time.process_time() - started) * arguments.resamples
    others = (rescored(parts, places), of_texts)
    if not all(np.allclose(ours_once, other, equal_nan=True) for other in others):
        raise SystemExit("the sides score the same rows differently: no comparison")

    started = time.process_time()
    found = list(scores(parts, groups, Draws(arguments.resamples)))
    ours = time.process_time() - started

    rng = np.random.default_rng(0)
    started = time.process_time()
    for _ in range(LOOP):
        chosen = rng.integers(0, len(members), len(members))
        rescored(parts, np.concatenate([members[i] for i in chosen]))
    loop = (time.process_time() - started) * arguments.resamples / LOOP

    def statistic(chosen: np.ndarray) -> np.ndarray:
        return rescored(parts, np.concatenate([members[i] for i in chosen.astype(int)]))

    started = time.process_time()
    scipy_bootstrap(
        (np.arange(len(members)),),
        statistic,
        n_resamples=LOOP,
        vectorized=False,
        method="percentile",
    )
    peer = (time.process_time() - started) * arguments.resamples / (LOOP + 1)  # and one as it is
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
                "items": arguments.items,
                "groups": len(members),
                "scores": len(found),
                "resamples": arguments.resamples,
                "seconds": {
                    "measuring_once": round(measuring, 1),
                    "vesalius": round(ours, 1),
                    "scipy.stats.bootstrap": round(peer, 1),
                    "loop": round(loop, 1),
                    "loop_over_texts": round(texts),
                },
                "ratio_to_scipy": round(peer / ours, 1),
                "ratio_to_loop": round(loop / ours, 1),
                "ratio_to_loop_over_texts": round(texts / ours),
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
