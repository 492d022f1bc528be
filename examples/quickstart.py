"""Quickstart: draw phantoms, fit two small systems, score them on pictures they have not seen.

Run it with ``python examples/quickstart.py [folder]``. No download, no GPU.
"""

import sys
from pathlib import Path

import vesalius


def recipe(model: str) -> vesalius.Recipe:
    """The same data for every model: some drawn phantoms, a dialogue a question."""
    cases = {"train": 80, "validation": 20, "test": 20}
    return vesalius.Recipe.model_validate(
        {
            "name": model,
            "data": {"dataset": "phantom", "options": {"cases": cases}, "task": "vqa"},
            "model": {"name": model},
            "evaluation": {"metrics": ["squad"], "resamples": 1000},
        }
    )


def main(folder: Path) -> None:
    runs = {}
    for name in ("majority", "linear_probe"):
        runs[name] = vesalius.fit(recipe(name), folder / name)
        vesalius.predict(runs[name])
        scores = vesalius.evaluate(runs[name])
        exact, f1 = scores.score("squad.em"), scores.score("squad.f1")
        print(f"{name}: exact match {exact}, token F1 {f1}")

    first = vesalius.compare(runs["majority"], runs["linear_probe"]).overall()[0]
    print(f"{first.metric}, linear_probe minus majority: {first} (p = {first.p:.3f})")
    print("report:", vesalius.report(runs["linear_probe"], runs["majority"]))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"))
