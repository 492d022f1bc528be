"""PathVQA as on the hub: parquet files whose rows repeat the picture for every question on it.

A row is a picture, a question and an answer: types of questions, captions and boxes have no place.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from vesalius.data.synthetic import Cohort, Drawn, Layout
from vesalius.system.files import write_atomic

ROWS = 100
"""Rows in a row group, as the hub writes sets of pictures."""


def write(root: Path, cohort: Cohort) -> None:
    """``data/<split>-00000-of-00001.parquet``, by the hub's names of the splits."""
    for split, held in cohort.items():
        write_atomic(root / "data" / f"{split}-00000-of-00001.parquet", _parquet(held))


def _parquet(held: Sequence[Drawn]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    questions = [(one, question) for one in held for question in one.case.questions]
    stored = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": one.picture, "path": None} for one, _ in questions], stored
            ),
            "question": pa.array([question.text for _, question in questions], pa.string()),
            "answer": pa.array(
                [question.answers[0].text for _, question in questions], pa.string()
            ),
        }
    )
    file = BytesIO()
    parquet.write_table(table, file, row_group_size=ROWS)
    return file.getvalue()


LAYOUT = Layout(write, families=("histology",), kind="JPEG", keeps=("allow_pickle",))
