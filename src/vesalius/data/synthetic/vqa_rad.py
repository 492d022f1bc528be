"""VQA-RAD as on OSF: one public file of questions beside a folder of pictures.

Its own split is of questions, not of pictures; the split file beside a drawn set is by picture.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

from vesalius.cases.case import Question
from vesalius.data.datasets.vqa_rad import IMAGES, PUBLIC
from vesalius.data.synthetic import RADIOLOGY, Cohort, Drawn, Layout
from vesalius.data.synthetic.tables import write_json
from vesalius.system.files import write_atomic

ORGANS = {"x-ray": "CHEST", "mri": "HEAD", "ct": "ABD"}
TYPES = {
    "modality": "MODALITY",
    "plane": "PLANE",
    "organ": "ORGAN",
    "presence": "PRES",
    "side": "POS",
    "count": "COUNT",
    "size": "SIZE",
}
"""VQA-RAD's names of the phantoms' types of questions."""


def write(root: Path, cohort: Cohort) -> None:
    """The public file and the image folder; pictures are called by the phantoms' ids."""
    ids, rows = count(1), []
    for split, held in cohort.items():
        phrase = "test_freeform" if split == "test" else "freeform"
        for one in held:
            write_atomic(root / IMAGES / f"{one.case.id}.jpg", one.picture)
            rows += [_row(one, q, next(ids), phrase) for q in one.case.questions]
    write_json(root / PUBLIC, rows)


def _row(one: Drawn, question: Question, qid: int, phrase: str) -> dict[str, Any]:
    return {
        "qid": qid,
        "phrase_type": phrase,
        "qid_linked_id": f"drawn-{qid}",
        "image_case_url": f"https://example.org/{one.case.group}",
        "image_name": f"{one.case.id}.jpg",
        "image_organ": ORGANS[str(one.case.modality)],
        "evaluation": "not evaluated",
        "question": question.text,
        "question_rephrase": "NULL",
        "question_relation": "NULL",
        "question_frame": "NULL",
        "question_type": TYPES[str(question.category)],
        "answer": question.answers[0].text,
        "answer_type": "CLOSED" if question.kind == "closed" else "OPEN",
    }


LAYOUT = Layout(
    write,
    families=RADIOLOGY,
    kind="JPEG",
    splits="splits.jsonl",
    options={"split": "all"},
    keeps=("paraphrases",),
)
