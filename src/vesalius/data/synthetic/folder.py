"""A folder of one's own: a row a case in ``<split>.jsonl``, as ``vesalius data import`` writes."""

from __future__ import annotations

from pathlib import Path

from vesalius.data.folder_format import to_row
from vesalius.data.phantoms.scene import table
from vesalius.data.synthetic import Cohort, Layout
from vesalius.data.synthetic.tables import write_lines
from vesalius.system.files import write_atomic


def write(root: Path, cohort: Cohort) -> None:
    """``<split>.jsonl`` and ``images/``; nothing of a phantom is left out."""
    for split, held in cohort.items():
        for one in held:
            write_atomic(root / "images" / f"{one.case.id}.png", one.picture)
        rows = (to_row(one.case, [f"images/{one.case.id}.png"]) for one in held)
        write_lines(root / f"{split}.jsonl", rows)


LAYOUT = Layout(write, families=tuple(table()["families"]))
