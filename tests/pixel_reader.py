"""A small model that looks: answers by their thumbnails, and by what is written in the picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.data.perturb.pictures import written
from vesalius.models import Lesson
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_json

EDGE = 8


class Reading(Frozen):
    """What it does beside looking."""

    reads_text: bool = False


@dataclass(frozen=True)
class Looking:
    means: dict[str, list[float]]
    reads_text: bool
    needs_image: ClassVar[bool] = True

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        return [Prediction.of(d, Answer(self._answer(d.picture.pixels()))) for d in dialogues]

    def _answer(self, image: Image.Image) -> str:
        if self.reads_text:
            band = np.asarray(image)[: image.height // 10]
            for text in self.means:
                if (np.asarray(written(image, text))[: image.height // 10] == band).all():
                    return text
        seen = thumbnail(image)
        return min(self.means, key=lambda text: float(np.abs(seen - self.means[text]).sum()))


def thumbnail(image: Image.Image) -> np.ndarray:
    small = image.convert("L").resize((EDGE, EDGE), Image.Resampling.BOX)
    return np.asarray(small, dtype=float).ravel()


@dataclass(frozen=True)
class PixelReader:
    """The answer whose mean training thumbnail is nearest; with ``reads_text`` the written one."""

    Settings: ClassVar[type[Reading]] = Reading
    needs_image: ClassVar[bool] = True

    settings: Reading

    def fit(self, lesson: Lesson, run: Run) -> None:
        seen = defaultdict(list)
        for one in lesson.train:
            seen[one.question.answers[0].text].append(thumbnail(one.picture.pixels()))
        write_json(
            run.weights / "m.json", {t: np.mean(v, axis=0).tolist() for t, v in seen.items()}
        )

    def load(self, run: Run) -> Looking:
        return Looking(read_json(run.weights / "m.json"), self.settings.reads_text)
