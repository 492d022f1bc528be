"""ImageCLEFmedical Caption 2024: captions and concepts as comma-separated tables.

The organisers keep the captions of the test pictures; a drawn set has them, so that whatever is
fitted on it can be scored.
"""

from __future__ import annotations

from pathlib import Path

from vesalius.data.synthetic import RADIOLOGY, Cohort, Layout
from vesalius.data.synthetic.tables import concept_names, write_csv
from vesalius.system.files import write_atomic

SPLITS = {"train": "train", "validation": "valid", "test": "test"}


def write(root: Path, cohort: Cohort) -> None:
    """``{split}/``, ``{split}_captions.csv``, ``{split}_concepts.csv``, ``cui_mapping.csv``."""
    for split, held in cohort.items():
        there = SPLITS[split]
        names = [f"ImageCLEFmedical_Caption_2024_{there}_{n:06d}" for n in range(1, len(held) + 1)]
        for name, one in zip(names, held, strict=True):
            write_atomic(root / there / f"{name}.jpg", one.picture)
        captions = ((name, one.case.caption) for name, one in zip(names, held, strict=True))
        write_csv(root / f"{there}_captions.csv", ("ID", "Caption"), captions)
        concepts = (
            (name, ";".join(one.case.concepts or ())) for name, one in zip(names, held, strict=True)
        )
        write_csv(root / f"{there}_concepts.csv", ("ID", "CUIs"), concepts)
    write_csv(root / "cui_mapping.csv", ("CUI", "Canonical name"), concept_names().items())


LAYOUT = Layout(write, families=RADIOLOGY, kind="JPEG")
