"""Every recipe's tiny form on the device: fit, predict, evaluate, as ``vesalius fit --tiny`` does."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.gpu.tasks import DEVICE, Tasks, peak_gib, release

from vesalius.recipe import load_recipe
from vesalius.steps.evaluate import evaluate
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.tiny import tiny

RECIPES = Path(__file__).parents[2] / "recipes"


def tasks(*, small: bool) -> Tasks:  # noqa: ARG001  # toys either way
    """A row for each recipe that has a tiny form, and whether it ran on the device."""
    folder = tempfile.TemporaryDirectory()
    os.environ.setdefault("VESALIUS_CACHE", f"{folder.name}/cache")
    for path in sorted(RECIPES.glob("*.yaml")):
        if path.stem != "endpoint":
            yield {"recipe": path.stem}, partial(_recipe, path, Path(folder.name) / path.stem)


def _recipe(path: Path, folder: Path) -> dict[str, Any]:
    release()
    started = time.perf_counter()
    run = fit(tiny(load_recipe(path)), folder)
    answers = predict(run)
    peak = peak_gib()
    scores = len(evaluate(run).scores)
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "dtype": run.status().get("dtype"),
        "answers": answers,
        "scores": scores,
        "ok": answers > 0 and scores > 0 and (DEVICE == "cpu" or peak is not None),
    }
