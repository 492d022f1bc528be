"""Released models as shapes: their classes and sizes, weights drawn on the device, no download."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from transformers import PreTrainedModel

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models.generative.blueprint import Pictured
from vesalius.models.generative.learner import Generative
from vesalius.models.generative.settings import GenerativeSettings
from vesalius.models.generative.text.families import Family, family
from vesalius.models.generative.weights import sizes, tiny
from vesalius.models.generative.weights.origin import Folders
from vesalius.training.quantize import NF4

QUESTION = "is there a small round nodule in the {} part of the {} lung in this picture?"
ANSWER = "yes, one of {} mm"
LONG = 32768
"""Tokens a row may hold: more than any here."""
BLOCKS = {"text": "text_config", "vision": "vision_config"}


@cache
def table() -> dict[str, dict[str, Any]]:
    """The rows of ``shapes.yaml`` by name."""
    rows: dict[str, dict[str, Any]] = yaml.safe_load(
        Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    )
    return rows


class Shape(Folders):
    """Where a shape's weights come from: drawn, at the published size or, ``small``, at toy size."""

    square = False
    kind = "random"
    drawn_here = True

    def __init__(self, name: str, *, small: bool) -> None:
        self._row, self._small = table()[name], small
        self._published = sizes.of(self._row["weights"])

    def look(self) -> None:
        """Nothing is read."""

    def family(self) -> Family:
        """The published model's."""
        return family(str(self._published.family))

    def base(
        self, train: Sequence[Dialogue], seed: int, four_bit: NF4 | None
    ) -> tuple[PreTrainedModel, Any]:
        """Drawn where it will compute, in what it will compute in."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        return tiny.from_sizes(self._sizes(), train, seed, device, dtype)

    def outline(self, train: Sequence[Dialogue]) -> tuple[PreTrainedModel, Any]:
        """The same without numbers."""
        return tiny.from_sizes(self._sizes(), train, 0, "meta")

    def _sizes(self) -> dict[str, Any]:
        about = copy.deepcopy(tiny.sizes()[self.family().name])
        if self._small:
            return about
        published = dict(self._published.config)
        for block, key in BLOCKS.items():
            about[block] = published.pop(key, {})
        for block in ("config", "images", "processor"):
            about[block] = {**about.get(block, {}), **self._row.get(block, {})}
        about["config"] |= published
        about["text"] |= self._row.get("text", {})
        if "qformer" in self._row:
            about["qformer"] = self._row["qformer"]
        return about


def learner(name: str, *, small: bool, **settings: Any) -> Generative:
    """The learner of a shape; ``settings`` go over those of its ``model`` block."""
    origin = Shape(name, small=small)
    block = {"tiny": True, "family": origin.family().name, "max_length": LONG, **settings}
    made = Generative(GenerativeSettings(**block))
    made.blueprint = Pictured(made.settings, origin)
    return made


def talk(pictures: int, questions: int, *, side: int = 560) -> list[Dialogue]:
    """So many questions about each of so many pictures of noise."""
    dialogues = []
    for i in range(pictures):
        picture = Picture(f"p{i}", partial(png, i, side))
        for q in range(questions):
            text = QUESTION.format(("upper", "middle", "lower")[q % 3], ("left", "right")[q % 2])
            question = Question(text, answers=(Answer(ANSWER.format(q + 2)),))
            dialogues.append(Dialogue(f"{i}/{q}", (Turn(question, (picture,)),), f"p{i}"))
    return dialogues


def png(seed: int, side: int) -> bytes:
    """A square picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()
