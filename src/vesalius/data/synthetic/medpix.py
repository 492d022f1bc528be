"""MedPix 2.0, its divided form: rows of descriptions and of clinical cases, and a picture folder.

A clinical case tells one history; of a patient with two pictures that of the first is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vesalius.data.synthetic import Cohort, Drawn, Layout
from vesalius.data.synthetic.tables import write_lines
from vesalius.system.files import write_atomic

SPLITS = {"train": "train", "validation": "dev", "test": "test"}
TYPES = {"ct": "CT", "mri": "MR"}


def write(root: Path, cohort: Cohort) -> None:
    """``splitted_dataset/{descriptions,data}_<split>.jsonl`` and ``images/``."""
    patients: dict[str, str] = {}
    for split, held in cohort.items():
        described: list[dict[str, Any]] = []
        clinical: dict[str, dict[str, Any]] = {}
        for one in held:
            patient = patients.setdefault(one.case.group, f"MPX{1001 + len(patients)}")
            name = f"{patient}_{one.case.id}"
            write_atomic(root / "images" / f"{name}.png", one.picture)
            described.append(_description(one, patient, name))
            clinical.setdefault(patient, _case(one, patient))
        folder = root / "splitted_dataset"
        write_lines(folder / f"descriptions_{SPLITS[split]}.jsonl", described)
        write_lines(folder / f"data_{SPLITS[split]}.jsonl", clinical.values())


def _description(one: Drawn, patient: str, name: str) -> dict[str, Any]:
    answers = {q.category: q.answers[0].text for q in one.case.questions}
    kind = TYPES[str(one.case.modality)]
    return {
        "Type": kind,
        "U_id": patient,
        "image": name,
        "Description": {
            "Caption": one.case.caption,
            "Modality": kind,
            "Plane": str(answers.get("plane", "")).capitalize(),
        },
        "Location": str(answers.get("organ", "")).capitalize(),
    }


def _case(one: Drawn, patient: str) -> dict[str, Any]:
    history = {"Title": "A drawn case", "History": one.case.context["history"], "Findings": ""}
    return {"U_id": patient, "Case": history, "Topic": {}}


LAYOUT = Layout(write, families=("head_mr_t1", "head_mr_t2", "abdomen_ct"))
