"""Planted leakage: same-patient duplicates raise the unguarded score by a known amount alone.

Ten patients are asked about; to six of them training has another file of the same picture, with the
caption that is the reference. Nobody else has that caption, so that the neighbour's answer is right
for these six where the guard is off, and for none where it is on: leakage gain is exactly .6.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.recipe import Data, Decoding, Recipe
from vesalius.run import Run

torch.set_num_threads(1)
ASKED, PLANTED = 10, 6
BLOCK = {"name": "nearest"}


def picture(key: str, seed: int, side: int = 96, fmt: str = "PNG") -> Picture:
    small = np.random.default_rng(seed).integers(0, 255, (12, 12), dtype=np.uint8)
    image = Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC)
    file = BytesIO()
    image.resize((side, side)).convert("RGB").save(file, fmt)
    return Picture(key, file.getvalue)


def case(name: str, patient: str, caption: str, shown: Picture) -> Dialogue:
    turn = Turn(Question("Describe this image.", answers=(Answer(text=caption),)), (shown,))
    return Dialogue(name, (turn,), group=patient, case=name)


TEST = [case(f"t{n}", f"P{n}", f"finding {n}", picture(f"t{n}", n)) for n in range(ASKED)]
OTHERS = [case(f"o{n}", f"Q{n}", f"other {n}", picture(f"o{n}", 100 + n)) for n in range(20)]


def planted(patient: str) -> list[Dialogue]:
    """The first six test pictures again, smaller and as JPEG, under ``patient``'s name."""
    return [
        case(f"d{n}", patient.format(n), f"finding {n}", picture(f"d{n}", n, 80, "JPEG"))
        for n in range(PLANTED)
    ]


def score(model) -> float:
    """The share of captions that are the reference."""
    answers = model.predict(TEST, Decoding())
    return float(np.mean([one.text == one.references[0].text for one in answers]))


@pytest.mark.parametrize("patient", ["P{}", "R{}"], ids=["same-patient", "other-name"])
def test_duplicates_raise_the_unguarded_score_and_the_guarded_stays(tmp_path, patient) -> None:
    """``R``: the same pictures under names that training says are other patients'."""
    run = Run.create(tmp_path / "run", Recipe(name="n", data=Data(dataset="none"), model=BLOCK))
    build(BLOCK).fit(Lesson([*OTHERS, *planted(patient)]), run)
    model = build(BLOCK).load(run)
    assert score(model) == 0
    assert score(model.with_neighbours("unguarded")) == PLANTED / ASKED
    assert score(model.with_neighbours("swapped")) == 0
