"""Memory and time of reading many rows: flat memory means that data sets are streamed.

Reads phantoms, and a CSV and a JSONL of the ``folder`` layout (one picture shared by all rows'
cases would group them, so each row names its own), as dialogues, and prints resident memory along
the way. Pictures are not decoded: reading is lazy.

    python benchmarks/reading.py --rows 100000
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from vesalius.recipe import Data
from vesalius.steps.prepare import dialogues


def written(folder: Path, rows: int) -> dict[str, Data]:
    table, lines = folder / "rows.csv", folder / "rows.jsonl"
    with table.open("w", newline="") as first, lines.open("w") as second:
        columns = ("image", "question", "answer", "patient")
        writer = csv.writer(first)
        writer.writerow(columns)
        for i in range(rows):
            row = (f"images/{i}.png", "what plane is this?", "axial", f"p{i // 3}")
            writer.writerow(row)
            second.write(json.dumps(dict(zip(columns, row, strict=True))) + "\n")
    return {
        path.suffix[1:]: Data(dataset="folder", root=str(path), splits={"test": "all"})
        for path in (table, lines)
    }


def measured(name: str, data: Data, split: str, rows: int) -> dict[str, Any]:
    process = psutil.Process()
    marks, started = {}, time.perf_counter()
    for count, _ in enumerate(dialogues(data, split), start=1):
        if count in {rows // 100, rows // 10, rows // 2} or count % rows == 0:
            marks[count] = round(process.memory_info().rss / 2**20, 1)
    return {
        "set": name,
        "dialogues": count,
        "seconds": round(time.perf_counter() - started, 1),
        "resident_mb_after": marks,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    print(f"{platform.machine()}, Python {platform.python_version()}")
    phantom = Data(dataset="phantom", options={"cases": {"test": rows}}, task="caption")
    print(json.dumps(measured("phantom", phantom, "test", rows)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in written(Path(folder), rows).items():
            print(json.dumps(measured(f"folder {name}", data, "all", rows)), flush=True)


if __name__ == "__main__":
    main()
