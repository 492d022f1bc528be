"""The budget of a picture's tokens: held by every family that can, refused by those that cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_turns import own_inputs, row_of, talk
from toys import FAMILIES, dialogues
from transformers import AutoConfig, AutoProcessor

from vesalius import Recipe
from vesalius.errors import ModelError, RecipeError, TooLong
from vesalius.models.build import build
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.preflight import check_rows
from vesalius.models.generative.rows.groups import collator
from vesalius.models.generative.settings import GenerativeSettings
from vesalius.models.generative.text.families import family
from vesalius.models.generative.weights.folder import write_whole
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.plan import plan

ADJUSTABLE = [name for name in FAMILIES if family(name).budget.adjustable]
FIXED = [
    name for name in FAMILIES if family(name).budget.rule == "fixed" and name not in {"mllama"}
]
LEAST = {"gemma4": 70, "llava_next": 10, "qwen2_5_vl": 1, "qwen3_vl": 1}
"""Of a toy family's picture; the others' tiles are of four tokens."""
LARGE = Image.new("RGB", (900, 700))


@cache
def limited(name: str, most: int | None) -> Network:
    """A toy network with room for pictures of many tokens, then with a budget."""
    model, processor = tiny_model(family(name), dialogues(), seed=0)
    images = processor.image_processor
    if name.startswith("qwen"):
        images.size = {"shortest_edge": 784, "longest_edge": 196 * 400}
    elif name == "gemma4":
        images.max_soft_tokens = 280
    elif name == "internvl":
        images.max_patches = 12
    elif name in {"idefics3", "smolvlm"}:
        images.size = {"longest_edge": 28 * 6}
    return assemble(model.eval(), processor, family(name), max_length=2048, most_image_tokens=most)


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_a_budget_bounds_a_large_picture_and_only_as_far_as_needed(name: str) -> None:
    free = limited(name, None).encoder.image_tokens(LARGE)
    least = LEAST.get(name, 4)
    counts = [
        limited(name, most).encoder.image_tokens(LARGE)
        for most in (least, least * 3, least * 6, 10**6)
    ]
    assert counts == sorted(counts)
    assert counts[0] <= least < free
    assert counts[1] <= least * 3
    assert counts[2] <= least * 6
    assert counts[3] == free


@pytest.mark.parametrize("name", ADJUSTABLE)
@settings(max_examples=25, deadline=None)
@given(
    side=st.integers(8, 700), ratio=st.floats(1.0, 4.0), steps=st.integers(0, 5), tall=st.booleans()
)
def test_no_picture_up_to_four_times_as_long_as_wide_makes_more(
    name: str, side: int, ratio: float, steps: int, tall: bool
) -> None:
    most = max(16, LEAST.get(name, 4)) * (1 + steps)
    size = (side, round(side * ratio))
    picture = Image.new("RGB", size if tall else size[::-1])
    assert 0 < limited(name, most).encoder.image_tokens(picture) <= most


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_rows_under_a_budget_are_what_the_familys_own_processor_and_loss_make(name: str) -> None:
    net, dialogue = limited(name, max(16, LEAST.get(name, 4))), talk("ab")
    row, own = row_of(net, dialogue), own_inputs(net, dialogue.closed())
    ours = {k: v for k, v in collator(net)([[row]]).items() if k not in {"ids", "tokens"}}
    with torch.no_grad():
        expected = float(net.model(**own, labels=torch.tensor([row.labels])).loss)
        assert float(net.model(**ours).loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ADJUSTABLE)
def test_what_is_exported_carries_the_budget(name: str, tmp_path: Path) -> None:
    net = limited(name, max(16, LEAST.get(name, 4)))
    write_whole(net.model, net.processor, net.stops, tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    bos = net.encoder.tokenizer.bos_token or ""
    made = processor(images=[LARGE], text=[bos + net.family.image], return_tensors="pt")
    assert made["input_ids"][0].tolist().count(net.encoder.image_id) == (
        net.encoder.image_tokens(LARGE)
    )
    points = getattr(AutoConfig.from_pretrained(tmp_path), "image_grid_pinpoints", None)
    assert points == getattr(processor.image_processor, "image_grid_pinpoints", None)


@pytest.mark.parametrize("name", FIXED)
def test_families_of_one_number_hold_it_or_refuse(name: str) -> None:
    number = limited(name, None).encoder.image_tokens(LARGE)
    assert limited(name, number).encoder.image_tokens(LARGE) == number
    with pytest.raises(RecipeError, match=rf"always makes {number} tokens of a picture, more than"):
        limited(name, number - 1)


@pytest.mark.parametrize("name", [name for name in ADJUSTABLE if not name.startswith("qwen")])
def test_less_than_a_family_can_do_is_refused_with_its_least(name: str) -> None:
    least = LEAST.get(name, 4)
    with pytest.raises(RecipeError, match=f"makes at least {least} tokens .*say {least} or more"):
        limited(name, least - 1)


def test_a_family_without_tokens_of_pictures_says_why() -> None:
    with pytest.raises(RecipeError, match="takes no budget: a picture is one token of the row"):
        limited("mllama", 100)


def test_a_strip_that_makes_more_all_the_same_is_refused_by_row() -> None:
    net, dialogue = limited("qwen2_5_vl", 3), talk("a")
    strip = replace(dialogue.picture, key="strip", read=lambda: png((2000, 20)))
    shown = replace(dialogue, turns=(replace(dialogue.turns[0], pictures=(strip,)),))
    with pytest.raises(ModelError, match=r"^talk: 1 pictures make \d+ tokens, more than 3 each"):
        check_rows([shown], net)


def png(size: tuple[int, int]) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.new("RGB", size, "gray").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "named"), [("qwen3_vl", True), ("internvl", True), ("llava", False)]
)
def test_a_row_that_is_too_long_names_the_budget_where_there_is_one(name: str, named: bool) -> None:
    net = replace(limited(name, None), max_length=8)
    with pytest.raises(TooLong) as caught:
        check_rows([talk("a")], net)
    assert ("model.image_tokens.max" in str(caught.value)) is named


# Recipes


def recipe(family: str = "qwen3_vl", **image_tokens: object) -> Recipe:
    block = {"name": "generative", "family": family, "tiny": True, "image_tokens": image_tokens}
    training = {"max_steps": 2, "batch": 2}
    cases = {"train": 4, "validation": 1, "test": 2}
    return Recipe.model_validate(
        {
            "name": "small",
            "data": {
                "dataset": "phantom",
                "leaks": "allow",
                "options": {"cases": cases, "size": 96},
            },
            "model": {**block, "training": training},
            "decoding": {"max_new_tokens": 3},
        }
    )


@pytest.mark.parametrize("key", ["min", "maximum", "max_pixels"])
def test_an_unknown_key_is_answered_with_the_known_ones(key: str) -> None:
    with pytest.raises(RecipeError, match=rf"image_tokens\.{key}.*image_tokens\.max"):
        build(recipe(**{key: 3}).model)


def test_a_number_without_its_key_is_answered_with_the_block() -> None:
    block = recipe().model | {"image_tokens": 512}
    with pytest.raises(RecipeError, match=r"for example image_tokens: \{max: 512\}"):
        build(block)


def test_a_recipe_without_a_budget_keeps_its_digest() -> None:
    assert "image_tokens" not in GenerativeSettings(family="llava", tiny=True).model_dump()


def test_dry_run_fit_and_export_hold_the_budget(tmp_path: Path) -> None:
    assert plan(recipe())["image_tokens"] > 1
    assert plan(recipe(max=1))["image_tokens"] == 1
    run = fit(recipe(max=1), tmp_path / "run")
    done = export(run, tmp_path / "out", check=2)
    processor = AutoProcessor.from_pretrained(done.folder)
    made = processor(images=[LARGE], text=["<|image_pad|>"], return_tensors="pt")
    assert made["image_grid_thw"].tolist() == [[1, 2, 2]]  # merged two by two: one token


def test_a_budget_that_cannot_be_held_is_refused_before_a_run_is_made(tmp_path: Path) -> None:
    for step in (plan, lambda one: fit(one, tmp_path / "run")):
        with pytest.raises(RecipeError, match="always makes 4 tokens of a picture, more than 3"):
            step(recipe("llava", max=3))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("weights", "most", "tokens"),
    [
        ("Qwen/Qwen3-VL-2B-Instruct", 300, {"image_tokens_at_most": 300}),
        ("llava-hf/llava-1.5-7b-hf", 600, {"image_tokens": 576}),
        ("llava-hf/llava-1.5-7b-hf", 100, "always makes 576 tokens"),
        ("meta-llama/Llama-3.2-11B-Vision-Instruct", 100, "takes no budget"),
    ],
)
def test_an_estimate_without_weights_holds_it_too(
    weights: str, most: int, tokens: dict[str, int] | str
) -> None:
    block = {"name": "generative", "weights": weights, "image_tokens": {"max": most}}
    learner = build(block)
    if isinstance(tokens, str):
        with pytest.raises(RecipeError, match=tokens):
            learner.weigh()
    else:
        assert learner.weigh().items() >= tokens.items()
