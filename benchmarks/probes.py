"""The whole suite of probes at once against one `predict --change` per probe, on the same model.

Both answer the same questions under the same changes; that the answers are the same is checked. In the
suite all changes of a case are asked together, so that those that leave its picture as it is stand
behind one prefix. The model is loaded once for each way; seconds are of the processor.

    python benchmarks/probes.py --cases 20 --batch 16
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ.setdefault("VESALIUS_FEATURES_MB", "0")

import torch

from vesalius import Recipe, Run, fit, load, predict
from vesalius.data.perturb import CHANGES
from vesalius.steps.probe import probe

WORDS = (
    "reworded", "options-reordered", "asserted-authority", "asserted-majority",
    "asserted-friend", "irrelevant-history",
)  # fmt: skip
LACKED = ("questions-only", "back-translated", "other-language")
"""What phantoms, or a model of pictures, cannot have."""


def recipe(cases: int, batch: int, preset: str) -> Recipe:
    """A composed model after one step on drawn pictures: it is timed, not scored."""
    return Recipe.model_validate(
        {
            "name": "probes",
            "data": {
                "dataset": "phantom",
                "options": {"cases": {"train": 16, "validation": 4, "test": cases}},
            },
            "model": {
                "name": "composed",
                "preset": preset,
                "training": {"max_steps": 1, "batch": 4},
            },
            "decoding": {"max_new_tokens": 8, "batch": batch},
            "evaluation": {"metrics": ["squad"], "resamples": 0},
        }
    )


def answers(run: Run, names: list[str]) -> dict[str, dict[str, str]]:
    """The texts of each set by id."""
    return {name: {p.id: p.text for p in run.predictions(name)} for name in names}


def timed(names: list[str], fitted: Run, folder: Path) -> dict[str, object]:
    """Processor seconds of both ways over these changes, and whether the answers agree."""
    runs = [Run(folder / way) for way in ("suite", "apart")]
    for run in runs:
        shutil.rmtree(run.path, ignore_errors=True)
        shutil.copytree(fitted.path, run.path)
    suite, apart = runs
    model = load(suite)
    begun = time.process_time()
    probe(suite, only=names, model=model)
    together = time.process_time() - begun
    begun = time.process_time()
    predict(apart, model=model)
    for name in names:
        predict(apart, change=name, model=model)
    one_by_one = time.process_time() - begun
    sets = ["", *names]
    ours, theirs = answers(suite, sets), answers(apart, sets)
    total = sum(map(len, ours.values()))
    same = sum(ours[s][i] == theirs[s][i] for s in sets for i in ours[s])
    return {
        "changes": len(names), "answers": total, "same": same,
        "suite_s": round(together, 1), "apart_s": round(one_by_one, 1),
        "ratio": round(one_by_one / together, 2),
    }  # fmt: skip


def main() -> None:
    """Time the changes of words, then all that the set can have."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--preset", default="nano")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        fitted = fit(recipe(chosen.cases, chosen.batch, chosen.preset), folder / "fitted")
        whole = [name for name in CHANGES if name not in LACKED]
        for title, names in (("words", list(WORDS)), ("whole suite", whole)):
            print(json.dumps({"of": title} | timed(names, fitted, folder)), flush=True)


if __name__ == "__main__":
    main()
