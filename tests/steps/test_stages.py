"""Stages: each starts from the last, any may be killed, and none has seen the final test split."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import vesalius.steps.ready as step
from vesalius import Answer, Dialogue, Recipe, Run, load_recipe
from vesalius.errors import Leakage, ModelError, RecipeError, UnknownName, VesaliusError
from vesalius.recipe import Data
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.plan import mask, plan
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues, to_fit_on
from vesalius.steps.stages import stage_names, stage_run
from vesalius.system.files import read_lines
from vesalius.training import loop

FROZEN = {"vision": "frozen", "projector": "full", "language": "frozen"}
ADAPTED = {"vision": "frozen", "projector": "full", "language": "adapter"}
TUNED = {"vision": "frozen", "projector": "frozen", "language": "adapter"}
SMALL = {
    "name": "composed",
    "preset": "nano",
    "vision_sizes": {"image_size": 32, "hidden_size": 32, "num_attention_heads": 2},
    "language_sizes": {
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "adapter": {"r": 4},
    "training": {"max_steps": 2, "batch": 2, "checkpoint_steps": 1, "learning_rate": 0.01},
}


def drawn(seed: int) -> dict[str, Any]:
    cases = {"train": 6, "validation": 2, "test": 2}
    return {"options": {"cases": cases, "size": 48, "seed": seed}}


STAGES: list[dict[str, Any]] = [
    {"name": "align", "data": {**drawn(5), "task": "caption"}, "model": {"roles": FROZEN}},
    {"name": "instruct", "data": drawn(6), "model": {"roles": ADAPTED}},
    {"name": "task", "model": {"roles": TUNED}, "evaluation": {"validate_on": 4}},
]


def recipe(stages: list[dict[str, Any]] = STAGES, **changes: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "three",
            "data": {"dataset": "phantom", **drawn(4)},
            "model": SMALL,
            "decoding": {"max_new_tokens": 3},
            "stages": stages,
            **changes,
        }
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(recipe(), tmp_path_factory.mktemp("whole") / "run")


def adapter(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.weights / "adapter" / "adapter_model.safetensors")


def said(run: Run, **how: Any) -> list[tuple[str, float | None]]:
    asked = list(dialogues(recipe().data, "test"))[:4]
    found = load(run, **how).predict(asked, recipe().decoding)
    return [(p.text, p.confidence and p.confidence.value) for p in found]


def test_each_stage_is_a_run_of_its_own_and_trains_what_it_says(whole: Run) -> None:
    assert stage_names(whole) == ["align", "instruct"]
    runs = [stage_run(whole, "align"), stage_run(whole, "instruct"), whole]
    assert [r.path.name for r in runs] == ["1-align", "2-instruct", "run"]
    assert [r.recipe().name for r in runs] == ["three-align", "three-instruct", "three"]
    assert all(r.fitted for r in runs)
    parts = [r.status()["parts"] for r in runs]
    trained = [{p for p, numbers in found.items() if numbers["trainable"]} for found in parts]
    assert trained == [{"projector"}, {"projector", "language"}, {"language"}]
    assert all(r.status()["weights"] == "random" for r in runs)


def test_each_stage_starts_from_the_model_that_the_last_one_left(whole: Run) -> None:
    align: Any = load(whole, stage="align").network.model
    instruct: Any = load(whole, stage="instruct").network.model
    task: Any = load(whole).network.model

    def same(one: Any, other: Any, part: str) -> bool:
        pairs = zip(
            one.get_submodule(part).parameters(),
            other.get_submodule(part).parameters(),
            strict=True,
        )
        return all(torch.equal(a, b) for a, b in pairs)

    assert same(align, task, "model.vision_tower")
    assert not same(align, instruct, "model.multi_modal_projector")
    assert same(instruct, task, "model.multi_modal_projector")  # frozen in the last stage
    assert not same(align, instruct, "model.language_model")
    assert not same(instruct, task, "model.language_model")


def test_later_stages_speak_the_first_ones_tokens(whole: Run) -> None:
    # A tokenizer that is trained on each stage's words would be another one each time.
    tokens = [
        run.weights / "processor" / "tokenizer.json"
        for run in (stage_run(whole, "align"), stage_run(whole, "instruct"), whole)
    ]
    assert len({path.read_text() for path in tokens}) == 1


def test_a_moved_run_takes_its_stages_along(whole: Run, tmp_path: Path) -> None:
    before = said(whole)
    moved = Run(shutil.copytree(whole.path, tmp_path / "elsewhere"))
    assert said(moved) == before
    assert said(moved, stage="align") == said(whole, stage="align")


def test_every_stage_answers_the_final_test_set(whole: Run, tmp_path: Path) -> None:
    run = Run(shutil.copytree(whole.path, tmp_path / "run"))
    count = predict(run)
    assert predict(run, name="align", model=load(run, stage="align")) == count
    asked = [p.id for p in run.predictions()]
    assert [p.id for p in run.predictions("align")] == asked
    with pytest.raises(UnknownName, match="did you mean align"):
        load(run, stage="aline")


@pytest.mark.slow
def test_stages_that_were_killed_go_on_to_the_same_end(
    whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    for folder in (path / "stages" / "1-align", path / "stages" / "2-instruct", path):
        with monkeypatch.context() as patched:
            patched.setattr(loop.Marker, "on_step_end", killed_in(folder), raising=False)
            with pytest.raises(KeyboardInterrupt):
                fit(recipe(), path)
        assert not Run(folder).fitted
    done = stage_run(Run(path), "align").status()
    run = fit(recipe(), path)
    assert stage_run(run, "align").status() == done  # not fitted again
    one, other = adapter(whole), adapter(run)
    assert all(torch.equal(one[name], other[name]) for name in one)


def killed_in(folder: Path) -> Any:
    def stop(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if Path(args.output_dir).parent == folder and state.global_step == 2:
            raise KeyboardInterrupt

    return stop


def test_a_finished_run_of_stages_is_returned_as_it_is(whole: Run) -> None:
    before = whole.status()
    assert fit(recipe(), whole.path).status() == before
    changed = [*STAGES[:2], {**STAGES[2], "model": {"roles": ADAPTED}}]
    with pytest.raises(VesaliusError, match="another recipe"):
        fit(recipe(changed), whole.path)


def test_the_plan_is_made_by_stage(whole: Run) -> None:
    planned = plan(recipe())
    assert list(planned) == ["align", "instruct", "task"]
    assert planned["align"]["parts"] == stage_run(whole, "align").status()["parts"]
    assert planned["task"]["steps"] == 2
    assert any(bears for _, bears in mask(recipe()))


# What a stage is made of


def test_blocks_go_over_the_recipes_own() -> None:
    align, instruct, task = recipe().unrolled()
    assert (align.data.task, instruct.data.task) == ("caption", "vqa")
    assert align.data.options["seed"] == 5
    assert align.data.options["size"] == 48
    assert align.model["roles"] == FROZEN
    assert align.model["training"] == SMALL["training"]
    assert align.evaluation.validate_on == 0
    assert task.evaluation.validate_on == 4
    assert "start" not in align.model
    assert instruct.model["start"] == "{run}/../1-align"
    assert task.model["start"] == "{run}/stages/2-instruct"
    plain = recipe([])
    assert plain.unrolled() == (plain,)


def test_a_block_of_another_data_set_stands_alone() -> None:
    # the phantoms' options mean nothing to another reader
    stages = [{"name": "align", "data": {"dataset": "medpix", "task": "caption"}}, STAGES[2]]
    align, task = recipe(stages).unrolled()
    assert align.data.options == {}
    assert task.data.options["seed"] == 4


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([STAGES[0], STAGES[0]], "two stages have the same name"),
        ([STAGES[0], {"name": "b", "data": {"tusk": "vqa"}}], r"stages\.b: .*did you mean data\."),
        ([STAGES[0], {"name": "b", "model": {"start": "x"}}], "starts from the stage before it"),
    ],
)
def test_stages_that_make_no_recipe(stages: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe(stages).unrolled()


def test_a_stages_settings_can_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(recipe().to_yaml())
    changed = load_recipe(file, ["stages.align.model.training.max_steps=7"])
    assert changed.unrolled()[0].model["training"]["max_steps"] == 7
    with pytest.raises(RecipeError, match=r"no block called 'aline' \(did you mean align"):
        load_recipe(file, ["stages.aline.model.max_length=7"])


# Nothing of the test split, nothing by the test split


def rows(folder: Path, name: str, **pictures: int) -> dict[str, Any]:
    """A data set of our own: a picture per split, drawn from a seed."""
    table = []
    for split, seed in pictures.items():
        pixels = np.random.default_rng(seed).integers(0, 255, (48, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}-{split}.png")
        table.append((f"{name}-{split}.png", "what is this?", "noise", f"p-{split}", split))
    file = folder / f"{name}.csv"
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([("image", "question", "answer", "patient", "split"), *table])
    return {"dataset": "folder", "root": str(file)}


def seen(folder: Path, leaks: str, *, train: int) -> Recipe:
    own = rows(folder, "own", train=train, validation=2)
    final = rows(folder, "final", train=3, validation=4, test=5)
    stages = [{"name": "align", "data": {**own, "leaks": "allow"}}, {"name": "task"}]
    model = {**SMALL, "roles": {"language": "full"}}
    return recipe(stages, data={**final, "leaks": leaks}, model=model)


def test_a_stage_that_saw_the_final_test_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Leakage, match=r"stage align/.*test/.*same picture"):
        fit(seen(tmp_path, "refuse", train=5), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # patients of two data sets may have the same numbers: that alone is no leak
    learnt = fit(seen(tmp_path, "refuse", train=6), tmp_path / "run")
    assert learnt.status()["data"]["shared_with_final_test"] == {}


def test_leaks_between_stages_are_allowed_or_dropped_by_name(tmp_path: Path) -> None:
    run = fit(seen(tmp_path, "allow", train=5), tmp_path / "allowed")
    assert stage_run(run, "align").status()["data"]["shared_with_final_test"] == {"same_picture": 1}
    with pytest.raises(RecipeError, match="every case of 'train' leaks"):
        fit(seen(tmp_path, "drop", train=5), tmp_path / "run")


def test_the_best_epoch_is_not_chosen_on_the_test_split(tmp_path: Path) -> None:
    for part in ("train", "validation"):
        data = {"dataset": "phantom", **drawn(4), "splits": {part: "test", "test": "test"}}
        for stages in ([], STAGES):
            with pytest.raises(RecipeError, match="test split: it may not train or choose"):
                fit(recipe(stages, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# What validation looks at


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        ({"watch": "squad.exact"}, r"evaluation\.watch: .*'squad\.exact'.*squad\."),
        ({"watch": "rogue.L"}, r"no score called 'rogue\.L'"),
        ({"watch": "squad"}, r"did you mean squad\."),
        ({"watch": "closed.unparsed_rate"}, r"a higher closed\.unparsed_rate is not better"),
        ({"watch": "squad.em", "metrics": ["sqad"]}, "did you mean squad"),
    ],
)
def test_a_validation_metric_that_does_not_exist(
    evaluation: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(VesaliusError, match=words) as caught:
        fit(recipe([], evaluation=evaluation), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_watched_score_is_the_one_that_is_logged(tmp_path: Path) -> None:
    evaluation = {"watch": "rouge.L", "metrics": [{"rouge": {"stemmed": True}}], "validate_on": 4}
    model = {**SMALL, "training": {"max_steps": 1, "batch": 2, "validate_every": 1}}
    run = fit(recipe([], evaluation=evaluation, model=model), tmp_path / "run")
    found = [row["validation"] for _, row in read_lines(run.log) if "validation" in row]
    assert len(found) == 1
    assert 0 <= found[0] <= 1


def test_an_empty_training_answer_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Our readers take a blank cell for an unanswered question; others may not.
    def blank(data: Data, split: str) -> list[Dialogue]:
        found = to_fit_on(data, split)
        return [found[0].replying(Answer(text=" ")), *found[1:]]

    monkeypatch.setattr(step, "to_fit_on", blank)
    with pytest.raises(RecipeError, match=r"phantom-train.*an answer to learn is empty") as caught:
        fit(recipe([]), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"adapter": {"targets": "nothing"}}, "lands on no module"),
        ({"max_length": 24}, "tokens do not fit into 24"),
    ],
)
def test_what_a_later_stage_would_fail_at_is_found_before_the_first_one(
    change: dict[str, Any], fault: str, tmp_path: Path
) -> None:
    given = recipe().model_dump()
    *before, last = given["stages"]
    broken = {**given, "stages": [*before, {**last, "model": {**last["model"], **change}}]}
    with pytest.raises(ModelError, match=fault):
        fit(Recipe.model_validate(broken), tmp_path / "run")
    assert not (tmp_path / "run").exists()
