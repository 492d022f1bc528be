"""Phantoms with known faults: what an audit has to find."""

from __future__ import annotations

import json
import random
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vesalius.data.open import open_dataset

CONSTANT = "is contrast agent visible?"


def planted(
    root: Path, *, cases: int = 120, faults: bool = True, flips: float = 0.05, text: int = 0
) -> dict[str, Any]:
    """Write a folder of phantoms, train and test, and say what is wrong with it.

    Without ``faults``, nothing but flipped answers (a share ``flips`` of them). With them: a
    test picture that training has, one that it has mirrored and as JPEG, a patient in both splits,
    a contradiction, an undecodable file. ``text`` pictures get a name burned in.
    """
    (root / "images").mkdir(parents=True)
    rng = random.Random(0)
    drawn = open_dataset("phantom", options={"cases": {"train": cases, "test": cases // 3}})
    organs = sorted({q.answers[0].text for c in drawn.cases("train") for q in organ(c)})
    rows: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    flipped = set()
    for split, some in rows.items():
        for number, case in enumerate(drawn.cases(split)):
            name = f"{split}-{number:03d}.png"
            picture = case.pictures[0].pixels()
            written(picture, root / "images" / name, "DOE JOHN 1950" if number < text else "")
            for question in organ(case):
                answer = question.answers[0].text
                if rng.random() < flips:
                    answer = rng.choice([one for one in organs if one != answer])
                    flipped.add(f"{split}-{number:03d}")
                some.append(row(name, case.group, question.text, answer, "organ"))
            some.append(row(name, case.group, CONSTANT, "no", "contrast"))
    if faults:
        _plant(root, rows)
    for split, some in rows.items():
        lines = "".join(json.dumps(one) + "\n" for one in some)
        (root / f"{split}.jsonl").write_text(lines)
    return {"flipped": flipped, "rows": rows}


def organ(case):
    """The case's questions about the organ system, which a small picture tells."""
    return [q for q in case.questions if q.category == "organ"]


def row(image: str, patient: str, question: str, answer: str, category: str) -> dict[str, Any]:
    return {
        "id": image.removesuffix(".png").removesuffix(".jpg"),
        "image": f"images/{image}",
        "patient": patient,
        "question": question,
        "answer": answer,
        "category": category,
    }


def written(picture: Image.Image, path: Path, text: str) -> None:
    if text:
        picture = picture.resize((512, 512))
        font = ImageFont.load_default(34)
        ImageDraw.Draw(picture).text((16, 12), text, fill="white", font=font)
    picture.save(path)


def _plant(root: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    images = root / "images"
    first = (images / "train-000.png").read_bytes()
    (images / "copy.png").write_bytes(first)
    mirrored = (
        Image.open(images / "train-001.png").convert("L").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    )
    file = BytesIO()
    mirrored.save(file, "JPEG", quality=75)
    (images / "mirrored.jpg").write_bytes(file.getvalue())
    (images / "torn.png").write_bytes(first[: len(first) // 2])
    known = rows["train"][0]
    again = "another-patient"
    rows["test"] += [
        row("copy.png", again, CONSTANT, "no", "contrast"),
        row("mirrored.jpg", "a-third-patient", CONSTANT, "no", "contrast"),
        row("torn.png", "a-fourth-patient", CONSTANT, "no", "contrast"),
        # The same picture, the same question, another answer.
        row("copy.png", again, known["question"], "no idea at all", "organ"),
        row("test-001.png", known["patient"], "whose is it?", "known", "other"),
    ]
    for one in rows["test"]:
        if one["image"] == "images/test-001.png":
            one["patient"] = known["patient"]
