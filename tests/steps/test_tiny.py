"""The tiny form of a recipe: random weights, drawn data in the publisher's layout, small limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vesalius.data.open import open_dataset
from vesalius.data.synthetic.cached import cached
from vesalius.errors import DatasetError, RecipeError, UnknownName
from vesalius.recipe import Recipe
from vesalius.steps.tiny import tiny
from vesalius.system.cache import cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, and no data but what is drawn."""
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESALIUS_DATA", raising=False)
    return tmp_path / "cache"


def recipe(**said: Any) -> Recipe:
    base = {"name": "r", "data": {"dataset": "slake"}, "model": {"name": "majority"}}
    return Recipe.model_validate(base | said)


LLAVA = {
    "name": "generative",
    "weights": "llava-hf/llava-1.5-7b-hf",
    "revision": "main",
    "family": "llava",
    "quantization": "nf4",
    "precision": "fp16",
    "adapter": {"r": 4},
}


def test_weights_go_and_what_is_done_with_them_stays() -> None:
    made = tiny(recipe(model=LLAVA)).model
    assert (made["tiny"], made["family"], made["quantization"]) == (True, "llava", "nf4")
    assert made["adapter"] == {"r": 4}
    assert not {"weights", "revision"} & set(made)
    assert made["precision"] == "auto"  # fp16 cannot train on a CPU


def test_limits_only_lower() -> None:
    training = {"batch": 8, "accumulate": 1, "epochs": 30, "warmup_steps": 25, "patience": 3,
                "optimizer": "adamw_8bit", "max_steps": 3, "validate_every": 500}  # fmt: skip
    made = tiny(
        recipe(
            model=LLAVA | {"training": training},
            decoding={"max_new_tokens": 256, "beams": 4},
            evaluation={"resamples": 50, "validate_on": 1000},
        )
    )
    assert made.model["training"] == {
        "batch": 2, "accumulate": 1, "epochs": 30, "warmup_steps": 1, "patience": 3,
        "optimizer": "adamw_torch", "max_steps": 3, "validate_every": 2, "checkpoint_steps": 2,
    }  # fmt: skip
    assert (made.decoding.max_new_tokens, made.decoding.beams) == (16, 4)
    assert (made.evaluation.resamples, made.evaluation.validate_on) == (50, 4)
    assert tiny(recipe()).evaluation.validate_on == 0  # nothing was validated, nothing is


def test_data_are_drawn_and_read_as_the_publisher_ships_them(cache: Path) -> None:
    said = {"dataset": "slake", "hub": True, "limit": {"train": 2}, "options": {"language": "zh"}}
    data = tiny(recipe(data=said)).data
    assert Path(str(data.root)).parent == cache / "drawn"
    assert (data.hub, data.limit, data.options) == (False, {}, {"language": "zh"})
    dataset = open_dataset(data.dataset, data.root, data.hub, data.options)
    counts = {split: len(list(dataset.cases(split))) for split in dataset.splits()}
    assert counts == {"train": 12, "validation": 6, "test": 6}
    assert (Path(str(data.root)) / "imgs" / "xmlab0" / "detection.json").is_file()


def test_a_set_without_splits_by_picture_has_them_when_drawn() -> None:
    said = {"dataset": "vqa_rad", "options": {"split": "all", "split_file": "mine.jsonl"}}
    data = tiny(recipe(data=said)).data
    dataset = open_dataset(data.dataset, data.root, data.hub, data.options)
    assert dataset.splits() == ("train", "validation", "test")
    odd = {"train": "all", "validation": None, "test": "validation"}
    data = tiny(recipe(data={"dataset": "medpix", "splits": odd})).data
    assert data.splits.model_dump() == {"train": "train", "validation": None, "test": "test"}


def test_phantoms_need_no_files(cache: Path) -> None:
    options = {"cases": {"train": 9000, "test": 9}, "difficulty": 0.5, "seed": 7}
    data = tiny(recipe(data={"dataset": "phantom", "options": options})).data
    assert data.options["cases"] == {"train": 12, "validation": 6, "test": 6}
    assert (data.options["seed"], data.root) == (7, None)
    assert not cache.exists()


def test_the_name_says_so_once_and_the_same_recipe_comes_of_it() -> None:
    once = tiny(recipe(model=LLAVA))
    assert once.name == "r-tiny"
    assert tiny(once) == once


def test_stages_are_tiny_too() -> None:
    stages = [
        {
            "name": "align",
            "data": {"dataset": "medpix", "root": "medpix2", "task": "caption"},
            "model": {"roles": {"projector": "full"}, "training": {"batch": 8, "epochs": 3}},
            "evaluation": {"resamples": 9000, "metrics": [{"bertscore": {"model": "roberta"}}]},
        },
        {"name": "task", "data": {"task": "dialogue"}, "decoding": {"max_new_tokens": 64}},
    ]
    model = {"name": "composed", "preset": "smol"}
    align, task = tiny(recipe(model=model, stages=stages)).unrolled()
    assert (align.data.dataset, align.data.task) == ("medpix", "caption")
    assert "medpix-" in str(align.data.root)
    assert align.model["roles"] == {"projector": "full"}
    assert (align.model["training"]["batch"], align.model["training"]["max_steps"]) == (2, 4)
    assert align.evaluation.resamples == 200
    assert align.evaluation.metrics == ({"bertscore": {}},)  # its hub model is not here
    assert (task.data.dataset, task.data.task) == ("slake", "dialogue")
    assert task.decoding.max_new_tokens == 16
    assert task.model["start"] == "{run}/stages/1-align"


def test_a_composed_model_keeps_its_presets_roles_and_adapter() -> None:
    from vesalius.models.build import build

    block = tiny(recipe(model={"name": "composed", "preset": "smol"})).model
    assert (block["vision"], block["language"]) == ("stem_vit", "llama")
    settings = build(block).settings  # type: ignore[attr-defined]
    assert settings.roles == {"vision": "frozen", "projector": "full", "language": "adapter"}
    assert settings.adapter.r == 16


SEARCH = {"encoder": "microsoft/rad-dino", "sentences": "someone/sentences"}
PACKAGED = {"encoder": "efficientnet_lite0", "sentences": "minilm"}


def test_every_frozen_encoder_is_the_packaged_one() -> None:
    small = tiny(recipe(retrieve={**SEARCH, "image_text": {}}))
    assert small.retrieve is not None
    assert small.retrieve.model_dump(include=set(SEARCH)) == PACKAGED
    for name in ("nearest", "linear_probe", "concept_neighbours", "few_shot", "evidence"):
        members = {"vlm": LLAVA} if name in {"few_shot", "evidence"} else None
        block = {"name": name, **SEARCH, **({"members": members} if members else {})}
        made = tiny(recipe(model=block)).model
        assert {key: made[key] for key in SEARCH} == PACKAGED, name
    assert "sentences" not in tiny(recipe(model={"name": "nearest"})).model  # nothing is added


def test_a_member_keeps_its_task_and_its_numbers_are_limited() -> None:
    data = {"task": "concepts", "instruction": "Which concepts?", "root": "elsewhere"}
    scored = {"validate_on": 500, "metrics": [{"bertscore": {"model": "roberta-large"}}]}
    concepts = {"model": {"name": "tagger"}, "data": data, "evaluation": scored}
    draft = {"model": LLAVA, "decoding": {"max_new_tokens": 900}}
    members = {"draft": draft, "concepts": concepts}
    small = tiny(recipe(model={"name": "guided", "members": members})).members()
    made, other = small["concepts"], small["draft"]
    assert isinstance(made, Recipe)
    assert isinstance(other, Recipe)
    assert (made.data.task, made.data.instruction) == ("concepts", "Which concepts?")
    assert made.data.root == other.data.root != "elsewhere"
    assert made.evaluation.validate_on == 4
    assert made.evaluation.metrics == ({"bertscore": {}},)
    assert other.decoding.max_new_tokens == 16


def test_a_metric_that_compares_by_a_hub_model_compares_by_the_packaged_one() -> None:
    metrics = [{"bertscore": {"model": "roberta-large", "rescale": True, "idf": True}}, "bleu",
               {"rouge": {"stemmed": True}}]  # fmt: skip
    made = tiny(recipe(evaluation={"metrics": metrics})).evaluation.metrics
    assert made == ({"bertscore": {"idf": True}}, "bleu", {"rouge": {"stemmed": True}})


def test_the_family_is_read_off_known_weights_or_asked_for() -> None:
    unnamed = {k: v for k, v in LLAVA.items() if k != "family"}
    assert tiny(recipe(model=unnamed)).model["family"] == "llava"
    with pytest.raises(RecipeError, match=r"family of someone/theirs is not known.*model\.family"):
        tiny(recipe(model=unnamed | {"weights": "someone/theirs"}))


def test_a_set_without_a_drawn_form_is_refused() -> None:
    with pytest.raises(UnknownName, match="drawing called 'dicom'"):
        tiny(recipe(data={"dataset": "dicom"}))


def test_a_drawing_is_made_once_and_whole(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cached("roco", cases={"train": 2}, seed=0)
    before = (folder / "train_captions.csv").stat().st_mtime_ns
    assert cached("roco", cases={"train": 2}, seed=0) == folder
    assert (folder / "train_captions.csv").stat().st_mtime_ns == before
    assert cached("roco", cases={"train": 3}, seed=0) != folder

    def torn(dataset: str, folder: Path, **_: object) -> Path:
        folder.mkdir(parents=True)
        raise OSError("no space left on device")

    monkeypatch.setattr("vesalius.data.synthetic.cached.draw", torn)
    with pytest.raises(DatasetError, match=r"no space left.*VESALIUS_CACHE"):
        cached("slake", cases={"train": 2}, seed=0)
    assert not list((cache / "drawn").glob("*slake*"))


def test_two_who_draw_at_once_share_one_drawing(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vesalius.data.synthetic import cached as module
    from vesalius.data.synthetic.draw import draw

    def overtaken(dataset: str, folder: Path, **said: Any) -> Path:
        monkeypatch.setattr(module, "draw", draw)
        cached(dataset, **said)  # the other process finishes first
        return draw(dataset, folder.with_name(folder.name + "x"), **said).rename(folder)

    monkeypatch.setattr(module, "draw", overtaken)
    folder = cached("path_vqa", cases={"train": 1}, seed=0)
    assert len(list(open_dataset("path_vqa", folder).cases("train"))) == 1
    assert [p.name for p in (cache / "drawn").iterdir()] == [folder.name]


def test_the_cache_lies_where_the_system_keeps_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("VESALIUS_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vesalius"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "vesalius"


def test_the_command_line_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from vesalius.cli.main import app

    recipe = Path(__file__).parents[2] / "recipes" / "vilt-slake.yaml"
    done = CliRunner().invoke(app, ["fit", str(recipe), "--tiny", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "vilt-slake-tiny: what a fit would do" in done.output
