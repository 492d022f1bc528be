"""What a fit would take, told without data or weights: counts from cards, shapes alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vesalius.data.synthetic.draw import draw, reading
from vesalius.errors import DatasetError, ModelError
from vesalius.recipe import Recipe
from vesalius.steps.estimate import estimate, missing
from vesalius.steps.plan import plan

LLAVA = {
    "name": "generative",
    "weights": "llava-hf/llava-1.5-7b-hf",
    "family": "llava",
    "training": {"epochs": 2, "batch": 4, "accumulate": 2},
}
NANO = {
    "name": "composed",
    "preset": "nano",
    "vocabulary": 300,
    "training": {"epochs": 3, "batch": 4},
}


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither data nor a hub cache."""
    monkeypatch.delenv("VESALIUS_DATA", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def recipe(data: dict[str, Any], model: dict[str, Any], **said: Any) -> Recipe:
    return Recipe.model_validate({"name": "r", "data": data, "model": model} | said)


def test_counts_are_the_cards() -> None:
    said = estimate(recipe({"dataset": "slake"}, LLAVA))
    numbers = said["estimate"]
    # 4,919 questions about 450 pictures, 10.9 behind each: a row a picture
    assert (numbers["dialogues"], numbers["pictures"], numbers["rows"]) == (4919, 450, 450)
    # 450 rows in 113 batches of 4, two to a step: 57 steps an epoch, two epochs
    assert numbers["steps"] == 114
    assert numbers["image_tokens"] == 576
    assert "the card of slake: English (Liu et al. 2021" in said["basis"]["data"]
    assert "activations" in said["basis"]["left_out"]


@pytest.mark.parametrize(
    ("data", "model", "rows"),
    [
        ({"dataset": "slake"}, {"share_image": False}, 4919),
        # 10.9 questions a picture, at most 4 behind each image: 3 rows
        ({"dataset": "slake"}, {"questions_per_row": 4}, 1350),
        ({"dataset": "slake", "options": {"language": "all"}}, {"share_image": False}, 9835),
        ({"dataset": "slake", "task": "dialogue"}, {}, 450),
        ({"dataset": "roco", "task": "caption"}, {}, 59958),
        ({"dataset": "roco", "task": "caption", "limit": {"train": 2000}}, {}, 2000),
        # 4,919 x 45 / 450 = 491.9
        ({"dataset": "slake", "limit": {"train": 45}}, {"share_image": False}, 492),
        # of 314 pictures in all, four fifths are for training
        ({"dataset": "vqa_rad", "options": {"split": "all", "split_file": "none.jsonl"}}, {}, 251),
    ],
)
def test_rows_follow_from_data_and_settings(
    data: dict[str, Any], model: dict[str, Any], rows: int
) -> None:
    assert estimate(recipe(data, LLAVA | model))["estimate"]["rows"] == rows


def test_parameters_are_those_of_the_released_weights() -> None:
    numbers = estimate(recipe({"dataset": "slake"}, LLAVA | {"adapter": {"r": 16}}))["estimate"]
    # 7,063,427,072 is the hub's count. Rank 16 on the seven linear layers of 32 blocks:
    # q, k, v, o: 4 x 16 x (4096 + 4096); gate, up, down: 3 x 16 x (4096 + 11008)
    trainable = 32 * (4 * 16 * 8192 + 3 * 16 * 15104)
    assert numbers["trainable"] == trainable == 39_976_960
    assert numbers["parameters"] == 7_063_427_072 + trainable


def test_memory_is_of_weights_gradients_and_optimizer() -> None:
    def least(**more: Any) -> float:
        return float(
            estimate(recipe({"dataset": "slake"}, LLAVA | more))["estimate"]["least_memory_mb"]
        )

    # 7,063,427,072 frozen at 2 bytes, 39,976,960 trained at 4 + 4 + 8, in MiB
    assert least() == pytest.approx((7_063_427_072 * 2 + 39_976_960 * 16) / 2**20, abs=1)
    eight = least(training={"optimizer": "adamw_8bit"})
    assert least() - eight == pytest.approx(39_976_960 * 6 / 2**20, abs=1)
    # the 32 blocks' linear layers at 4.127 bits: 32 x (4 x 4096^2 + 3 x 4096 x 11008)
    linear = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    saved = linear * (2 - 4.127 / 8) / 2**20
    assert least() - least(quantization="nf4") == pytest.approx(saved, rel=1e-3)


def test_all_of_vilt_trains() -> None:
    model = {"name": "vilt", "weights": "dandelin/vilt-b32-mlm"}
    numbers = estimate(recipe({"dataset": "slake"}, model))["estimate"]
    assert numbers["rows"] == 4919  # a row a question
    assert numbers["trainable"] == numbers["parameters"] > 1.1e8


def test_each_stage_by_its_name() -> None:
    stages = [
        {
            "name": "align",
            "data": {"dataset": "roco", "task": "caption"},
            "model": {"roles": {"projector": "full", "language": "frozen"}},
        },
        {"name": "task", "data": {"task": "dialogue"}},
    ]
    said = estimate(recipe({"dataset": "slake"}, LLAVA, stages=stages))
    align, task = said["align"]["estimate"], said["task"]["estimate"]
    assert (align["rows"], task["rows"]) == (59958, 450)
    # the projector: 1024 x 4096 + 4096, 4096 x 4096 + 4096
    assert align["trainable"] == 1024 * 4096 + 4096 + 4096 * 4096 + 4096
    assert task["parts"]["projector"]["trainable"] == 0


def test_a_learner_that_trains_no_network_has_only_counts() -> None:
    numbers = estimate(recipe({"dataset": "slake"}, {"name": "majority"}))["estimate"]
    assert numbers == {"dialogues": 4919, "pictures": 450}


def test_estimated_equals_planned_where_both_can_be_had(tmp_path: Path) -> None:
    folder = draw("slake", tmp_path / "s", cases={"train": 6, "validation": 2, "test": 2}, seed=0)
    data = {"dataset": "slake", "root": str(folder), "options": reading("slake", folder)}
    mine = recipe(data, NANO)
    assert missing(mine) == []
    said, measured = estimate(mine), plan(mine)
    assert said["basis"]["data"].startswith("counted")
    for name in ("dialogues", "pictures", "rows", "steps", "image_tokens", "parameters",
                 "trainable", "parts"):  # fmt: skip
        assert said["estimate"][name] == measured[name], name


def test_what_is_missing_is_named_and_nothing_is_fetched(tmp_path: Path) -> None:
    # sockets are blocked in these tests: a look at the hub would fail
    found = missing(recipe({"dataset": "slake"}, LLAVA))
    assert found == [
        "the folder of slake (where slake lies is not known)",
        "the weights of llava-hf/llava-1.5-7b-hf",
    ]
    hub = recipe({"dataset": "slake", "hub": True}, {"name": "majority"})
    assert missing(hub) == ["slake from the hub, which a dry run does not fetch"]
    parts = {"name": "composed", "vision": "someone/tower", "language": "smollm2"}
    here = {"dataset": "slake", "root": str(tmp_path)}
    assert missing(recipe(here, parts)) == ["the weights of someone/tower"]
    dealt = here | {"options": {"split_file": "no.jsonl"}}
    assert missing(recipe(dealt, {"name": "majority"})) == ["the split file no.jsonl"]
    local = LLAVA | {"weights": str(tmp_path)}
    assert missing(recipe(here, local)) == []


def test_cached_weights_are_here(tmp_path: Path) -> None:
    model = recipe({"dataset": "phantom"}, LLAVA)
    assert missing(model) == ["the weights of llava-hf/llava-1.5-7b-hf"]
    cached = tmp_path / "hub" / "models--llava-hf--llava-1.5-7b-hf"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    (cached / "snapshots" / "abc").mkdir(parents=True)
    (cached / "snapshots" / "abc" / "config.json").write_text("{}")
    assert missing(model) == ["the weights of llava-hf/llava-1.5-7b-hf"]  # the config alone
    (cached / "snapshots" / "abc" / "model.safetensors").touch()
    assert missing(model) == []


def test_what_cannot_be_estimated_says_so() -> None:
    with pytest.raises(DatasetError, match="folder: the card has no counts"):
        estimate(recipe({"dataset": "folder"}, LLAVA))
    with pytest.raises(DatasetError, match=r"card of slake counts no 'trian' split"):
        estimate(recipe({"dataset": "slake", "splits": {"train": "trian"}}, LLAVA))
    with pytest.raises(ModelError, match=r"someone/theirs: its sizes are not known"):
        estimate(recipe({"dataset": "slake"}, LLAVA | {"weights": "someone/theirs"}))
    with pytest.raises(ModelError, match="lands on"):
        estimate(recipe({"dataset": "slake"}, LLAVA | {"adapter": {"targets": ".*fc9"}}))
