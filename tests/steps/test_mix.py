"""Training sets mixed of several: how often each is drawn, what leaks, and scores by set."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vesalius import Recipe
from vesalius.errors import Leakage, RecipeError, RunError, UnknownName
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.run import Run
from vesalius.steps.estimate import estimate
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.prepare import cases, leaks, to_fit_on
from vesalius.steps.retrieve import trained_on
from vesalius.steps.stages import seen_before
from vesalius.steps.tiny import tiny
from vesalius.system.files import append_lines


def noise(path: Path, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 48), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def folder(root: Path, first: int, sizes: dict[str, int], answer: str) -> Path:
    """A data set of noise; the picture at ``0.png`` is another one in each set."""
    root.mkdir(parents=True)
    number = 0
    for split, size in sizes.items():
        rows = []
        for _ in range(size):
            noise(root / f"{number}.png", first + number)
            row = {"id": f"case{number}", "image": f"{number}.png", "patient": f"p{number}"}
            rows.append(row | {"question": "what is this?", "answer": answer})
            number += 1
        append_lines(root / f"{split}.jsonl", rows)
    return root


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    own = folder(tmp_path / "own", 0, {"train": 4, "validation": 1, "test": 2}, "noise")
    return own, folder(tmp_path / "other", 100, {"train": 10, "test": 2}, "grain")


def recipe(roots: tuple[Path, Path], mixed: dict[str, Any], **data: Any) -> Recipe:
    own, other = map(str, roots)
    mix = [{"dataset": "folder", "name": "other", "root": other, **mixed}]
    block = {"dataset": "folder", "root": own, "mix": mix, **data}
    return Recipe.model_validate({"name": "r", "data": block, "model": {"name": "majority"}})


@pytest.mark.parametrize(("weight", "drawn"), [(1, 10), (0.25, 2), (2, 20), (2.5, 25)])
def test_a_weight_is_how_often_a_set_is_drawn_relative_to_its_size(
    roots: tuple[Path, Path], weight: float, drawn: int
) -> None:
    train = to_fit_on(recipe(roots, {"weight": weight}).data, "train")
    assert Counter(d.dataset for d in train) == Counter({"folder": 4, "other": drawn})
    assert len({d.id for d in train}) == len(train)
    times = Counter(d.case for d in train if d.dataset == "other").values()
    assert max(times, default=0) - min(times, default=0) <= 1


def test_what_is_drawn_depends_on_the_recipe_alone(roots: tuple[Path, Path]) -> None:
    def drawn(seed: int) -> list[str]:
        return [d.id for d in to_fit_on(recipe(roots, {"weight": 0.5}, seed=seed).data, "train")]

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(5)}) > 1


def test_names_of_two_sets_do_not_meet(roots: tuple[Path, Path]) -> None:
    found = list(cases(recipe(roots, {}).data, "train"))
    keys = {case.pictures[0].key: case.pictures[0].sha256() for case in found}
    assert len(keys) == len(set(keys.values())) == 14
    assert len({case.id for case in found}) == len({case.group for case in found}) == 14
    assert {"case0", "other:case0"} <= {case.id for case in found}
    assert [c.id for c in cases(recipe(roots, {}).data, "test")] == ["case5", "case6"]


def test_a_mixed_in_picture_of_the_test_split_is_a_leak(roots: tuple[Path, Path]) -> None:
    noise(roots[1] / "3.png", 5)  # the own test split's first picture
    with pytest.raises(Leakage, match="train/other:case3"):
        leaks(recipe(roots, {}).data)
    counts, outside, *_ = leaks(recipe(roots, {"weight": 2}, leaks="drop").data)
    assert counts == {"same_picture": 1}
    assert outside["train"] == {"other:case3"}


def test_the_own_sets_test_split_cannot_be_mixed_in_under_another_name(
    roots: tuple[Path, Path],
) -> None:
    again = {"root": str(roots[0]), "name": "again", "splits": {"train": "test"}}
    with pytest.raises(Leakage, match=r"group"):
        leaks(recipe(roots, again).data)


def test_a_stage_that_mixes_in_a_picture_of_the_final_test_split_is_refused(
    roots: tuple[Path, Path],
) -> None:
    noise(roots[1] / "3.png", 5)
    content = recipe(roots, {}).model_dump(mode="json")
    mix = content["data"].pop("mix")
    stages = [{"name": "align", "data": {"mix": mix}}, {"name": "task"}]
    with pytest.raises(Leakage, match="stage align/train/other:case3"):
        seen_before(Recipe.model_validate(content | {"stages": stages}))


def test_fit_predict_and_scores_by_set(roots: tuple[Path, Path], tmp_path: Path) -> None:
    """Nine answers in ten are grain: right of the other set's two test pictures, wrong of ours."""
    mixed = recipe(roots, {"splits": {"test": "test"}})
    run = fit(mixed, tmp_path / "run")
    assert run.status()["data"]["train"]["sets"] == {"folder": 4, "other": 10}
    assert len(trained_on(run)) == 14
    assert predict(run) == 4
    scores = evaluate_run(run, metrics=["squad"], resamples=0)
    by = {s.slice: (s.value, s.n) for s in scores.by("dataset") if s.metric == "squad.em"}
    assert by == {"dataset=folder": (0.0, 2), "dataset=other": (1.0, 2)}
    assert {p.case: p.dataset for p in Run.open(tmp_path / "run").predictions()} == {
        "case5": "folder",
        "case6": "folder",
        "other:case10": "other",
        "other:case11": "other",
    }
    assert fit(mixed, tmp_path / "run").fitted
    with pytest.raises(RunError):
        fit(recipe(roots, {"weight": 0.5, "splits": {"test": "test"}}), tmp_path / "run")


def test_recipes_without_a_mix_keep_their_digest(roots: tuple[Path, Path]) -> None:
    plain = {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
    assert Recipe.model_validate(plain).digest() == "e5f3f72454f4a3f5"
    digests = {recipe(roots, {"weight": w}, seed=s).digest() for w in (1, 2) for s in (0, 1)}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("mixed", "words"),
    [
        ({"name": "folder"}, "two sets are called 'folder'; give one another name"),
        ({"weight": 0}, "mix.0.weight"),
        ({"wieght": 2}, "wieght"),
        ({"name": "a:b"}, "mix.0.name"),
    ],
)
def test_a_faulty_block_is_named(
    roots: tuple[Path, Path], tmp_path: Path, mixed: dict[str, Any], words: str
) -> None:
    block = recipe(roots, {}).model_dump(mode="json")
    block["data"]["mix"][0] |= mixed
    path = tmp_path / "r.json"
    path.write_text(json.dumps(block))
    with pytest.raises(RecipeError, match=words):
        Recipe.read(path)


def test_a_set_that_has_no_such_split_stops_the_fit(
    roots: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(UnknownName, match="trian"):
        fit(recipe(roots, {"splits": {"train": "trian"}}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_weight_that_draws_nothing_is_refused(roots: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match=r"0\.01 draws none of the 10 dialogues of other"):
        to_fit_on(recipe(roots, {"weight": 0.01}).data, "train")


def test_a_set_with_nothing_to_learn_is_named(roots: tuple[Path, Path]) -> None:
    captions = {"task": "caption"}
    with pytest.raises(RecipeError, match="'train' of other holds nothing with a reference"):
        to_fit_on(recipe(roots, captions).data, "train")


def test_estimates_and_tiny_forms_know_the_mix() -> None:
    mix = [{"dataset": "slake", "weight": 2}]
    data = {"dataset": "vqa_rad", "options": {"split": "all"}, "mix": mix}
    data["splits"] = {"train": "all", "validation": None, "test": "test"}
    one = Recipe.model_validate({"name": "r", "data": data, "model": {"name": "majority"}})
    own = one.model_copy(update={"data": one.data.model_copy(update={"mix": ()})})
    both, alone = (estimate(r)["estimate"]["dialogues"] for r in (one, own))
    assert both == alone + 2 * 4919  # SLAKE's English training questions, by its card
    small = tiny(one).data
    assert small.mix[0].root is not None
    assert {d.dataset for d in to_fit_on(small, small.splits.train)} == {"vqa_rad", "slake"}
    leaks(small)
