"""VQA-Med 2019: text files of ``image|question|answer`` by category, and folders of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vesalius.data.synthetic import RADIOLOGY, Cohort, Drawn, Layout
from vesalius.data.synthetic.tables import write_text
from vesalius.system.files import write_atomic

CATEGORIES = ("Modality", "Plane", "Organ", "Abnormality")
FOLDERS = {
    "train": ("ImageClef-2019-VQA-Med-Training", "Train_images", "train"),
    "validation": ("ImageClef-2019-VQA-Med-Validation", "Val_images", "val"),
}
TEST = "VQAMed2019Test"


def category(name: str | None) -> str:
    """VQA-Med's category of a phantom's: what is not modality, plane or organ is abnormality."""
    plain = str(name).capitalize()
    return plain if plain in CATEGORIES else "Abnormality"


def write(root: Path, cohort: Cohort) -> None:
    """Questions by category for train and validation; one file with references for test."""
    for split, held in cohort.items():
        questions = list(_question_rows(held))
        if split == "test":
            _write_test(root / TEST, held, questions)
            continue
        folder, images, ending = FOLDERS[split]
        _write_pictures(root / folder / images, held)
        pairs = [f"{name}|{question}|{answer}" for name, _, question, answer in questions]
        write_text(root / folder / f"All_QA_Pairs_{ending}.txt", pairs)
        for number, kind in enumerate(CATEGORIES, start=1):
            lines = [f"{name}|{q}|{answer}" for name, of, q, answer in questions if of == kind]
            if lines:
                path = root / folder / "QAPairsByCategory" / f"C{number}_{kind}_{ending}.txt"
                write_text(path, lines)


def _write_test(folder: Path, held: Sequence[Drawn], questions: list[tuple[str, ...]]) -> None:
    _write_pictures(folder / "VQAMed2019_Test_Images", held)
    open_ones = (f"{name}|{question}" for name, _, question, _ in questions)
    write_text(folder / "VQAMed2019_Test_Questions.txt", open_ones)
    answered = (f"{name}|{kind.lower()}|{q}|{answer}" for name, kind, q, answer in questions)
    write_text(folder / "VQAMed2019_Test_Questions_w_Ref_Answers.txt", answered)


def _write_pictures(folder: Path, held: Sequence[Drawn]) -> None:
    for one in held:
        write_atomic(folder / f"{one.case.id}.jpg", one.picture)


def _question_rows(held: Sequence[Drawn]) -> Iterator[tuple[str, ...]]:
    """(image, category, question, answer) of every question."""
    for one in held:
        for question in one.case.questions:
            answer = question.answers[0].text or ""
            yield one.case.id, category(question.category), question.text, answer


LAYOUT = Layout(write, families=RADIOLOGY, kind="JPEG")
