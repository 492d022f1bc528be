"""A data set in whose every word, name and folder there is a patient."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

PATIENT = "Quisquilia"
MACHINE = "machinaria"
"""What a machine is called in these tests: a short name of a real one stands in any bytes."""


def patients(folder: Path) -> dict[str, Any]:
    """A data set in whose every word, name and folder a patient is."""
    rows = []
    for split, count in {"train": 4, "validation": 2, "test": 2}.items():
        for at in range(count):
            name = f"{PATIENT}-{split}-{at}.png"
            (folder / PATIENT).mkdir(parents=True, exist_ok=True)
            Image.new("L", (48, 48), 20 * len(rows)).save(folder / PATIENT / name)
            row = {"image": f"{PATIENT}/{name}", "split": split, "patient": f"{PATIENT}{split}{at}"}
            asked = {"question": f"Has {PATIENT} a mass?", "answer": f"{PATIENT} has none"}
            rows.append({**row, **asked, "category": PATIENT, "id": f"{PATIENT}/{split}/{at}"})
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return {"dataset": "folder", "root": str(folder), "leaks": "allow", "instruction": PATIENT}
