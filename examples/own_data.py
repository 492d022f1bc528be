"""Your own data: a CSV and some pictures become a checked data set, split by patient.

Run it with ``python examples/own_data.py [folder]``. The pictures are drawn here, so that the
example needs no download; put your own table in the place of ``scans.csv``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import vesalius
from vesalius.data.audit import audit
from vesalius.data.check import Summary, check
from vesalius.data.imports import import_dataset


def draw(path: Path, number: int) -> str:
    """Draw a cloudy picture with a bright disc and say on which side of it the disc lies."""
    random = np.random.default_rng(number)
    clouds = Image.fromarray(random.integers(0, 120, (7, 7), dtype=np.uint8))
    picture = clouds.resize((128, 128), Image.Resampling.BICUBIC)
    side = "left" if random.random() < 0.5 else "right"
    x, y = (36 if side == "left" else 92), int(random.integers(36, 92))
    ImageDraw.Draw(picture).ellipse((x - 14, y - 14, x + 14, y + 14), fill=230)
    picture.save(path)
    return side


def write_table(folder: Path, patients: int = 30) -> Path:
    """Two pictures a patient, a question about each, in columns with names of their own."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "scans.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "pseudonym", "asked", "told"])
        for number in range(2 * patients):
            name = f"scan{number:03}.png"
            side = draw(folder / name, number)
            rows.writerow([name, f"P{number // 2:03}", "on which side is the disc?", side])
    return table


def main(folder: Path) -> None:
    table = write_table(folder / "source")
    columns = {"image": "file", "patient": "pseudonym", "question": "asked", "answer": "told"}
    dataset = vesalius.open_dataset("folder", table, options={"columns": columns})

    summary = Summary()
    for finding in check(dataset, summary=summary):
        print(finding.level, finding.code, finding.where, finding.what)
    print(f"{summary.pictures} pictures checked, {summary.errors} errors")

    result = import_dataset(dataset, folder / "my-data", seed=1)
    print("cases by split:", dict(result.cases))

    ours = vesalius.open_dataset("folder", result.root)
    print("leaks:", dict(audit(ours).counts) or "none")
    first = next(ours.cases("train"))
    question = first.questions[0]
    print(f"first case: {first.id} of {first.group}: {question.text} {question.answers[0].text}")
    print(f"next: vesalius fit examples/own-data.yaml --set data.root={result.root}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/own-data"))
