"""SLAKE: a folder a picture with its boxes and mask, and questions in English and Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from vesalius.cases.case import Case, Question
from vesalius.data.synthetic import RADIOLOGY, Cohort, Drawn, Layout
from vesalius.data.synthetic.tables import write_json
from vesalius.system.files import write_atomic

FILES = {"train": "train.json", "validation": "validate.json", "test": "test.json"}
MODALITIES = {"x-ray": "X-Ray", "mri": "MRI", "ct": "CT"}
CONTENT = {
    "modality": "Modality",
    "plane": "Plane",
    "organ": "Organ",
    "presence": "Abnormality",
    "side": "Position",
    "count": "Quantity",
    "size": "Size",
}
"""SLAKE's names of the phantoms' types of questions."""
IN_CHINESE = {"x-ray": "X光", "mri": "核磁共振", "ct": "CT"}


def write(root: Path, cohort: Cohort) -> None:
    """``imgs/xmlab<N>/`` and ``{train,validate,test}.json``; numbers run over all splits."""
    numbers, ids = count(), count()
    for split, held in cohort.items():
        rows: list[dict[str, Any]] = []
        for one in held:
            number = next(numbers)
            questions = list(_rows(number, one.case, ids))
            _write_picture(root / "imgs" / f"xmlab{number}", one, questions)
            rows += questions
        write_json(root / FILES[split], rows)


def _write_picture(folder: Path, one: Drawn, rows: list[dict[str, Any]]) -> None:
    boxes = one.case.boxes or ()
    write_atomic(folder / "source.jpg", one.picture)
    write_atomic(folder / "mask.png", _mask(one))
    places = [{box.label: [box.x, box.y, box.width, box.height]} for box in boxes]
    write_json(folder / "detection.json", places)
    write_json(folder / "question.json", rows)


def _mask(one: Drawn) -> bytes:
    """The outline of each finding, roughly, numbered from 1; 0 elsewhere."""
    with Image.open(BytesIO(one.picture)) as image:
        mask = Image.new("L", image.size)
    pen = ImageDraw.Draw(mask)
    for number, box in enumerate(one.case.boxes or (), start=1):
        pen.ellipse((box.x, box.y, box.x + box.width, box.y + box.height), fill=number)
    file = BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def _rows(number: int, case: Case, ids: Iterator[int]) -> Iterator[dict[str, Any]]:
    organ = next(q for q in case.questions if q.category == "organ").answers[0].text or ""
    for question in case.questions:
        answer = question.answers[0].text
        row = _row(number, case, next(ids), question.text, answer)
        yield row | _question_fields(question) | {"q_lang": "en", "location": organ.capitalize()}
    row = _row(number, case, next(ids), "这是什么成像方式?", IN_CHINESE[str(case.modality)])
    fields = {"answer_type": "OPEN", "content_type": "Modality", "q_lang": "zh"}
    yield row | fields | {"location": organ.capitalize()}


def _row(number: int, case: Case, qid: int, question: str, answer: str | None) -> dict[str, Any]:
    return {
        "img_id": number,
        "img_name": f"xmlab{number}/source.jpg",
        "question": question,
        "answer": answer,
        "modality": MODALITIES[str(case.modality)],
        "base_type": "vqa",
        "triple": ["vhead", "_", "_"],
        "qid": qid,
    }


def _question_fields(question: Question) -> dict[str, str]:
    kind = "CLOSED" if question.kind == "closed" else "OPEN"
    return {"answer_type": kind, "content_type": CONTENT[str(question.category)]}


LAYOUT = Layout(
    write,
    families=RADIOLOGY,
    kind="JPEG",
    keeps=("language",),
)
