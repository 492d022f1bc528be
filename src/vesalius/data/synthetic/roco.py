"""ROCOv2 as on Zenodo: a folder of images a split, and tables of captions, concepts, licences."""

from __future__ import annotations

from pathlib import Path

from vesalius.data.synthetic import RADIOLOGY, Cohort, Layout
from vesalius.data.synthetic.tables import concept_names, write_csv
from vesalius.system.files import write_atomic

SPLITS = {"train": "train", "validation": "valid", "test": "test"}
LICENCE = "drawn by Vesalius, Apache-2.0"


def write(root: Path, cohort: Cohort) -> None:
    """``{split}/``, ``{split}_captions.csv``, ``{split}_concepts[_manual].csv`` and two more."""
    named = {
        split: [(f"ROCOv2_2023_{SPLITS[split]}_{n:06d}", one) for n, one in enumerate(held, 1)]
        for split, held in cohort.items()
    }
    for split, held in named.items():
        there = SPLITS[split]
        for name, one in held:
            write_atomic(root / there / f"{name}.jpg", one.picture)
        captions = ((name, one.case.caption) for name, one in held)
        write_csv(root / f"{there}_captions.csv", ("ID", "Caption"), captions)
        concepts = {name: one.case.concepts or () for name, one in held}
        every = ((name, ";".join(cuis)) for name, cuis in concepts.items())
        write_csv(root / f"{there}_concepts.csv", ("ID", "CUIs"), every)
        # Experts checked how a picture was made, and which region a radiograph shows.
        checked = ((name, ";".join(cuis[:2])) for name, cuis in concepts.items())
        write_csv(root / f"{there}_concepts_manual.csv", ("ID", "CUIs"), checked)
    write_csv(root / "cui_mapping.csv", ("CUI", "Canonical name"), concept_names().items())
    licences = ((name, "none", LICENCE, "none") for held in named.values() for name, _ in held)
    write_csv(root / "license_information.csv", ("ID", "PMCID", "Attribution", "Link"), licences)


LAYOUT = Layout(
    write,
    families=RADIOLOGY,
    kind="JPEG",
    options={"version": 2},
    keeps=("concepts",),
)
