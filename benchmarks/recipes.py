"""Every recipe's tiny form through the command line: fit, predict, evaluate, export; a row each.

Seconds are of whole commands, imports included: about six of them are torch and transformers.

    python benchmarks/recipes.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parents[1] / "recipes"


def timed(*arguments: str) -> float:
    """Seconds of a command; CalledProcessError, with what it said, if it fails."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "vesalius", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        done.check_returncode()
    return round(time.perf_counter() - started, 1)


def row(recipe: Path, folder: Path) -> dict[str, Any]:
    run = folder / recipe.stem
    seconds = {
        "fit": timed("fit", str(recipe), "--tiny", "--run", str(run)),
        "predict": timed("predict", "--run", str(run)),
        "evaluate": timed("evaluate", str(run)),
        "export": timed("export", str(run), "--check", "4"),
    }
    status = json.loads((run / "status.json").read_text(encoding="utf-8"))
    parts = status.get("parts", {})
    return {
        "recipe": recipe.stem,
        **{f"{name}_s": value for name, value in seconds.items()},
        "answers": sum(1 for _ in (run / "predictions.jsonl").open(encoding="utf-8")),
        "trained": {name: part["trainable"] for name, part in parts.items() if part["trainable"]},
        "peak_memory_mb": status["peak_memory_mb"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for recipe in sorted(RECIPES.glob("*.yaml")):
            if not options.only or recipe.stem in options.only:
                print(json.dumps(row(recipe, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
