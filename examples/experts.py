"""Experts who are simulated, so that it is known what should come out of a review.

``python examples/experts.py``: two runs answer questions about phantoms, and an offline review
shuffles their answers and the references. Three raters fill its table in: each knows the truth,
grades by a strictness of their own and now and then at random. What ``vesalius agree`` prints of it
should find the strict and the kind one, the references on top, and a metric that follows.
"""

from __future__ import annotations

import csv
import random
import tempfile
from pathlib import Path

import vesalius
from vesalius.cases.rating import AXES
from vesalius.cli.main import app
from vesalius.evaluation.review_sheet import ReviewSheet, review_sheet
from vesalius.steps.review import TABLE, review_package

STRICTNESS = {"ana": 0, "bo": -1, "cy": 1}
"""By how much each grades above the truth; cut off at the ends of the scale."""
AT_RANDOM = 0.1
SIZE = 40


def fitted(name: str, folder: Path) -> vesalius.Run:
    """A run of that model with its answers."""
    options = {"cases": {"train": 60, "validation": 10, "test": 20}, "size": 48}
    data = {"dataset": "phantom", "options": options}
    recipe = vesalius.Recipe.model_validate({"name": name, "data": data, "model": {"name": name}})
    run = vesalius.fit(recipe, folder / name)
    vesalius.predict(run)
    return run


def truths(runs: list[vesalius.Run], sheet: ReviewSheet) -> dict[str, int]:
    """The grade that each item deserves: 5 for a reference's own words, 3 for some, else 1."""
    golds = {
        row.id: [reference.text or "" for reference in row.references]
        for row in runs[0].predictions()
    }
    grades = {}
    for item in sheet.items.values():
        words, wanted = set(item.answer.lower().split()), golds[item.prediction]
        shared = any(words & set(gold.lower().split()) for gold in wanted)
        grades[item.id] = 5 if item.answer in wanted else 3 if shared else 1
    return grades


def fill(out: Path, rater: str, grades: dict[str, int]) -> Path:
    """The package's table as that rater sends it back."""
    rng = random.Random(rater)
    with (out / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        right = min(5, max(1, grades[row["id"]] + STRICTNESS[rater]))
        grade = rng.choice(range(1, 6)) if rng.random() < AT_RANDOM else right
        errors = "hallucination" if grades[row["id"]] == 1 else ""
        row.update(dict.fromkeys(AXES, str(grade)) | {"rater": rater, "errors": errors})
    path = out / f"{rater}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def main() -> None:
    """Fit, review, and agree."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [fitted(model, folder) for model in ("majority", "linear_probe")]
        count = review_package(runs, SIZE, folder / "package", references=True)
        grades = truths(runs, review_sheet(runs, SIZE, references=True))
        files = [fill(folder / "package", rater, grades) for rater in STRICTNESS]
        print(f"{count} answers of three systems on one page, none marked")
        named = [word for run in runs for word in ("--run", str(run.path))]
        app(["agree", *map(str, files), *named, "--metric", "squad", "--metric", "rouge"])


if __name__ == "__main__":
    main()
