"""Recipes: validated, overridden, hashed; every fault is one line that names the key."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from vesalius import Recipe, load_recipe
from vesalius.errors import RecipeError
from vesalius.models import models
from vesalius.models.build import build
from vesalius.recipe import Data

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
PLAIN = "name: r\ndata: {dataset: phantom}\nmodel: {name: majority}\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_ours_are_valid_and_build(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    build(recipe.model)


def test_the_resolved_recipe_reads_back_the_same(tmp_path: Path) -> None:
    recipe = load_recipe(written(tmp_path, PLAIN), ["decoding.beams=4", "data.options={cases: 5}"])
    assert recipe.decoding.beams == 4
    assert recipe.data.options == {"cases": 5}
    again = load_recipe(written(tmp_path, recipe.to_yaml()))
    assert again == recipe
    assert again.digest() == recipe.digest()


def test_the_digest_is_of_what_is_done_not_of_its_name(tmp_path: Path) -> None:
    one = load_recipe(written(tmp_path, PLAIN))
    assert load_recipe(written(tmp_path, PLAIN), ["name=other"]).digest() == one.digest()
    assert load_recipe(written(tmp_path, PLAIN), ["seed=1"]).digest() != one.digest()


@pytest.mark.parametrize(
    ("text", "overrides", "words"),
    [
        (PLAIN + "sead: 1\n", [], "'sead'.*did you mean seed"),
        (PLAIN, ["decoding.beems=2"], r"'decoding.beems'.*did you mean decoding.beams"),
        (PLAIN, ["decoding.beams=0"], "decoding.beams"),
        (PLAIN, ["name"], "key=value"),
        (PLAIN, ["name.x=1"], "is a value, not a block"),
        ("- a\n", [], "mapping"),
        ("a: [\n", [], "not valid YAML at line"),
    ],
)
def test_faults_name_their_key(tmp_path: Path, text: str, overrides: list[str], words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        load_recipe(written(tmp_path, text), overrides)
    assert "\n" not in str(caught.value)


def test_a_missing_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({}, "needs a name"),
        ({"name": "majorty"}, "did you mean majority"),
        ({"name": "majority", "colour": 1}, "colour"),
        ({"name": "composed", "preset": "nan0"}, "did you mean nano"),
        ({"name": "generative"}, "weights or tiny"),
        ({"name": "majority", "members": {"a": {"name": "majority"}}}, "majority wraps no members"),
        ({"name": "consensus"}, "consensus needs at least 2 members, not 0"),
    ],
)
def test_a_wrong_model_block_says_so(block: dict[str, object], words: str) -> None:
    with pytest.raises(Exception, match=words):
        build(block)


def test_the_registry_is_whole() -> None:
    for name in models:
        entry = models[name]
        assert hasattr(entry, "Settings"), name
        assert isinstance(entry.needs_image, bool | property), name


def test_recipes_are_frozen(tmp_path: Path) -> None:
    recipe: Recipe = load_recipe(written(tmp_path, PLAIN))
    with pytest.raises(Exception, match="frozen"):
        recipe.seed = 3  # type: ignore[misc]


def test_a_limit_on_a_split_that_is_not_used_is_refused() -> None:
    with pytest.raises(ValidationError, match="did you mean train"):
        Data(dataset="phantom", limit={"trian": 5})
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Data(dataset="phantom", limit={"train": -1})


def test_trackers_make_no_other_run_and_follow_stages_and_members(tmp_path: Path) -> None:
    plain = load_recipe(written(tmp_path, PLAIN))
    followed = load_recipe(written(tmp_path, PLAIN), ["report_to=wandb"])
    assert followed.report_to == ("wandb",)
    assert followed.digest() == plain.digest()
    assert followed.differences(plain) == ()
    assert load_recipe(written(tmp_path, followed.to_yaml())) == followed
    stages = [{"name": "align"}, {"name": "task"}]
    staged = plain.model_copy(update={"report_to": ("mlflow", "wandb")}).model_dump()
    first, last = Recipe.model_validate({**staged, "stages": stages}).unrolled()
    assert first.report_to == last.report_to == ("mlflow", "wandb")
    assert (first.name, last.name) == ("r-align", "r")
    wrapper = {**staged, "model": {"name": "consensus", "members": {"a": {"name": "majority"}}}}
    member = Recipe.model_validate(wrapper).members()["a"]
    assert isinstance(member, Recipe)
    assert member.report_to == ("mlflow", "wandb")


def test_a_tracker_that_is_none_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"report_to\.0: .*'mlflow', 'tensorboard', 'trackio'"):
        load_recipe(written(tmp_path, PLAIN), ["report_to=[wandbb]"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            PLAIN + "modle: {name: majority}\n",
            r"there is no key called 'modle' \(did you mean model",
        ),
        (PLAIN.replace("name: r\n", "nmae: r\n", 1), r"called 'nmae' \(did you mean name"),
        (PLAIN + "stages:\n\t- name: a\n", r"at line 5 \(indent with blanks, not with tabs\)"),
        (PLAIN + "seed: [1\n", r"at line \d+ \(did not find expected"),
    ],
)
def test_a_slip_of_the_pen_is_told_before_what_it_leads_to(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(written(tmp_path, text))


def test_a_recipe_in_another_encoding_or_a_folder_says_so(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(PLAIN, encoding="utf-16")
    with pytest.raises(RecipeError, match="not UTF-8 text"):
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load_recipe(tmp_path)
