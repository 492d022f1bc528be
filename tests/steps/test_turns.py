"""A folder whose questions show pictures of their own: imported, fitted, predicted, asked."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.errors import ModelError, Unshowable
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.plan import mask, plan
from vesalius.steps.predict import ask, predict
from vesalius.steps.prepare import dialogues


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 30, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def study(number: int) -> dict[str, Any]:
    """A row: a question about the prior film, one with the current film, one about both."""
    return {
        "id": f"p{number}",
        "patient": f"p{number}",
        "image": f"prior{number}.png",
        "questions": [
            {"question": "Is the heart large?", "answer": "no"},
            {"question": "And now?", "answer": "yes", "image": f"current{number}.png"},
            {"question": "What changed?", "answer": "it grew"},
        ],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    for at, split in enumerate(("train", "validation", "test")):
        rows = [study(number) for number in range(2 * at, 2 * at + 2)]
        (root / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        for number in range(2 * at, 2 * at + 2):
            (root / f"prior{number}.png").write_bytes(png(number))
            (root / f"current{number}.png").write_bytes(png(100 + number))
    return root


def recipe(folder: Path, family: str, **model: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "films",
            "data": {"dataset": "folder", "root": str(folder), "task": "dialogue"},
            "decoding": {"max_new_tokens": 4},
            "model": {
                "name": "generative",
                "family": family,
                "tiny": True,
                "roles": {"projector": "full", "language": "full"},
                "training": {"max_steps": 1, "batch": 2},
                **model,
            },
        }
    )


def goes_whole(folder: Path, made: Recipe, path: Path) -> Run:
    """Fitted, predicted on its own answers, loaded and asked; the run."""
    run = fit(made, path)
    assert run.status()["unshared_dialogues"] == 2
    assert predict(run, history="own") == 6
    answers = {one.id: one for one in run.predictions("history-own")}
    assert sorted(answers) == [f"p{n}/{at}" for n in (4, 5) for at in (1, 2, 3)]
    assert answers["p4/1"].picture == "prior4.png"
    assert answers["p4/2"].picture == answers["p4/3"].picture == "current4.png"
    one, two = answers["p4/1"].usage, answers["p4/2"].usage
    assert one is not None
    assert two is not None
    assert one.image_tokens < two.image_tokens
    (talk, _) = dialogues(made.data, "test")
    assert [len(turn.pictures) for turn in talk.turns] == [1, 1, 0]
    again = load(run).predict([talk.reopen(1, [answers["p4/1"].answer])], made.decoding)
    assert again[0].text == answers["p4/2"].text
    assert ask(run, folder / "prior4.png", "Is the heart large?").text == answers["p4/1"].text
    return run


def test_a_second_film_in_the_second_turn(folder: Path, tmp_path: Path) -> None:
    made = recipe(folder, "llava")
    borne = "".join(token for token, bears in mask(made) if bears)
    assert [word in borne for word in ("no", "yes", "it grew")] == [True] * 3
    assert plan(made)["unshared_dialogues"] == 2
    goes_whole(folder, made, tmp_path / "run")


def test_features_that_are_kept_stand_in_their_turns_too(folder: Path, tmp_path: Path) -> None:
    features = tmp_path / "features"
    fitted = [
        fit(recipe(folder, "llava", keep_features=kept), tmp_path / f"run{number}")
        for number, kept in enumerate((None, str(features), str(features)))
    ]
    assert list(features.rglob("*.safetensors"))
    assert [predict(run, history="gold") for run in fitted] == [6, 6, 6]
    first, *others = [[p.text for p in run.predictions("history-gold")] for run in fitted]
    assert others == [first, first]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gemma3", "idefics3", "internvl", "mllama", "qwen2_5_vl"])
def test_other_families(family: str, folder: Path, tmp_path: Path) -> None:
    goes_whole(folder, recipe(folder, family), tmp_path / "run")


@pytest.mark.parametrize("family", ["blip2_opt", "blip2_t5", "paligemma"])
def test_a_family_that_reads_pictures_first_is_refused_before_a_run_is_begun(
    family: str, folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        Unshowable, match=r"^p0/dialogue: turn 2 shows a picture, and .* first turn"
    ):
        fit(recipe(folder, family), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_says_so_in_one_line(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe(folder, "paligemma").to_yaml(), encoding="utf-8")
    with pytest.raises(ModelError, match="p0/dialogue: turn 2 shows a picture"):
        CliRunner().invoke(app, ["fit", str(path), "--dry-run"], catch_exceptions=False)


def test_a_run_that_learnt_one_picture_refuses_a_second(folder: Path, tmp_path: Path) -> None:
    alone = recipe(folder, "paligemma")
    alone = alone.model_copy(update={"data": alone.data.model_copy(update={"task": "vqa"})})
    run = fit(alone, tmp_path / "run")  # questions asked alone show both films at once
    (talk, _) = dialogues(recipe(folder, "paligemma").data, "test")
    with pytest.raises(Unshowable, match="turn 2 shows a picture, and PaliGemma reads all"):
        load(run).predict([talk], alone.decoding)
