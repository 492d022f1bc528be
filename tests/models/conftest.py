"""Small drawn pictures and dialogues for the tests of models."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.recipe import Data, Recipe
from vesalius.run import Run

Make = Callable[..., Any]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def draw() -> Make:
    """A disc or a bar of some size on black, as a lazy PNG."""

    def make(key: str, shape: str = "disc", size: int = 40, shade: int = 255) -> Picture:
        image = Image.new("RGB", (96, 64))
        pen, box = (
            ImageDraw.Draw(image),
            (48 - size // 2, 32 - size // 2, 48 + size // 2, 32 + size // 2),
        )
        if shape == "disc":
            pen.ellipse(box, fill=(shade, shade, shade))
        else:
            pen.rectangle((0, 32 - size // 4, 95, 32 + size // 4), fill=(shade, shade, shade))
        file = BytesIO()
        image.save(file, "PNG")
        content = file.getvalue()
        return Picture(key, lambda: content)

    return make


@pytest.fixture(scope="session")
def ask() -> Make:
    """A dialogue of one turn."""

    def make(
        question: str,
        answer: str | None = None,
        picture: Picture | None = None,
        category: str | None = None,
        case: str = "case",
    ) -> Dialogue:
        answers = () if answer is None else (Answer(text=answer),)
        asked = Question(question, answers=answers, category=category)
        turn = Turn(asked, () if picture is None else (picture,))
        return Dialogue(f"{case}/{question}", (turn,), group=f"group of {case}", case=case)

    return make


@pytest.fixture
def new_run(tmp_path: Path) -> Make:
    """A run folder for a model's block."""

    def make(name: str, seed: int = 0, **settings: Any) -> Run:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        block = {"name": name, **settings}
        return Run.create(
            folder, Recipe(name=name, data=Data(dataset="none"), model=block, seed=seed)
        )

    return make


@pytest.fixture(scope="session")
def shapes(draw: Make, ask: Make) -> list[Dialogue]:
    """Twelve pictures with two questions each; both answers are in the picture alone."""
    found = []
    for number in range(12):
        shape = "disc" if number % 2 else "bar"
        picture = draw(f"{shape}-{number}", shape, size=30 + 2 * number)
        yes = "yes" if shape == "disc" else "no"
        case = f"case {number}"
        found += [
            ask("what shape is seen?", shape, picture, "shape", case),
            ask("is there a disc?", yes, picture, "presence", case),
        ]
    return found
