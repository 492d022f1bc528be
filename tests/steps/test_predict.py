"""Predicting: streamed, resumed, blanked, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius import Recipe, Run
from vesalius.errors import ImageError, UnknownName
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.predict import ask, predict
from vesalius.steps.prepare import cases, dialogues

RECIPE = Recipe.model_validate(
    {
        "name": "tiny",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 4, "validation": 2, "test": 5}, "size": 48},
        },
        "model": {
            "name": "generative",
            "tiny": True,
            "family": "llava",
            "training": {"max_steps": 1, "batch": 4},
        },
        "decoding": {"max_new_tokens": 4, "batch": 4},
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(RECIPE, tmp_path_factory.mktemp("run") / "run")


def test_a_stopped_prediction_goes_on(run: Run) -> None:
    asked = [d.id for d in dialogues(RECIPE.data, "test")]
    assert predict(run) == len(asked)
    whole = run.predictions_file().read_text()
    lines = whole.splitlines(keepends=True)
    run.predictions_file().write_text("".join(lines[:7]) + lines[7][:20])  # killed in a write
    assert predict(run) == len(asked)
    said = list(run.predictions())
    assert [p.id for p in said] == asked
    assert [p.text for p in said] == [_text(line) for line in lines]
    assert run.status()["predictions"]["test"]["n"] == len(asked)


def _text(line: str) -> str:
    import json

    return str(json.loads(line)["answer"]["text"])


def test_blank_pictures_are_a_set_of_their_own(run: Run) -> None:
    predict(run, change="blank")
    said = list(run.predictions("blank"))
    assert len(said) == len(list(dialogues(RECIPE.data, "test")))
    assert all((p.picture or "").endswith("#blank") for p in said)
    blank = next(dialogues(RECIPE.data, "test", change="blank")).pictures[0].pixels()
    assert blank.getcolors() == [(blank.width * blank.height, (127, 127, 127))]
    with pytest.raises(UnknownName, match="did you mean blank"):
        predict(run, change="blnk")


def test_one_picture_one_question(run: Run, tmp_path: Path) -> None:
    image = tmp_path / "case.png"
    image.write_bytes(next(cases(RECIPE.data, "test")).pictures[0].read())
    answer = ask(run, image, "what plane is this?")
    assert answer.question == "what plane is this?"
    assert answer.confidence is not None
    image.write_text("not a picture")
    with pytest.raises(ImageError, match=r"case\.png"):
        ask(run, image, "what plane is this?")
    with pytest.raises(ImageError, match="no such file"):
        ask(run, tmp_path / "none.png", "what plane is this?")


def test_how_a_picture_is_shown_is_said_before_it_is_answered(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = tmp_path / "deep.png"
    pixels = np.arange(4096, dtype=np.uint16).reshape(64, 64) * 9
    Image.fromarray(pixels).save(image)
    ask(run, image, "what plane is this?")
    assert caplog.messages == ["the picture: more than 8 bits: rescaled linearly to 0..255"]


def test_the_answers_depend_on_nothing_but_the_question(run: Run) -> None:
    # batch 1 or 64, forwards or backwards: the same answers
    model, some = load(run), list(dialogues(RECIPE.data, "test"))
    decoding = RECIPE.decoding
    one = model.predict(some, decoding.model_copy(update={"batch": 1}))
    many = model.predict(some[::-1], decoding.model_copy(update={"batch": 64}))[::-1]
    assert [p.text for p in one] == [p.text for p in many]
