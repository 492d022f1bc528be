"""The recipes that travel with Vesalius: each is valid, says its licence, and runs when tiny."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from vesalius import Dialogue, Picture, Question, Turn
from vesalius.evaluation.evaluate import evaluate_run
from vesalius.models.build import build
from vesalius.models.generative.text.families import family
from vesalius.models.generative.weights.tiny import tiny_model
from vesalius.recipe import Recipe, load_recipe
from vesalius.settings import merged
from vesalius.steps.estimate import estimate
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.plan import plan
from vesalius.steps.predict import predict
from vesalius.steps.tiny import tiny

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
NOTEBOOK = ROOT / "examples" / "notebooks" / "colab.ipynb"
names = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
TRAINED = [path for path in RECIPES if path.stem != "endpoint"]
"""Those that have a tiny form: nobody can make a small one of somebody else's server."""
trained = pytest.mark.parametrize("path", TRAINED, ids=lambda path: path.stem)
COMBINED = {
    "aueb-few-shot": {},
    "aueb-synthesizer": {"draft": 1},
    "aueb-synthesizer-trained": {"draft": 3},
}
"""Those whose model wraps others: how often each member that trains is fitted, with two folds."""
ALONE = [path for path in TRAINED if path.stem not in COMBINED]
alone = pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for all of these tests, and no data but what is drawn."""
    folder = tmp_path_factory.getbasetemp() / "drawn-for-recipes"
    monkeypatch.setenv("VESALIUS_CACHE", str(folder))
    monkeypatch.delenv("VESALIUS_DATA", raising=False)


def trains(recipe: Recipe) -> bool:
    """Whether the model itself trains weights; one that only joins its members does not."""
    return "training" in build(recipe.model).Settings.model_fields


@names
def test_every_stage_builds(path: Path) -> None:
    for stage in load_recipe(path).unrolled():
        build(stage.model)


@names
def test_every_score_is_of_a_metric_that_there_is(path: Path) -> None:
    from vesalius.evaluation.metrics import metrics
    from vesalius.settings import validated

    for stage in load_recipe(path).unrolled():
        for spec in stage.evaluation.metrics:
            name, said = (spec, {}) if isinstance(spec, str) else next(iter(spec.items()))
            validated(metrics[name], said, where=path)


@names
def test_recipes_for_weights_of_others_say_their_licence(path: Path) -> None:
    if "weights:" in path.read_text() or "meta-llama" in path.read_text():
        assert re.search(r"^# .*Licences?( of the weights)?:", path.read_text(), re.MULTILINE)


# What methods.md has of each published system; where a recipe differs, it says so in a comment.
PUBLISHED: dict[str, dict[str, Any]] = {
    "aueb-concepts": {
        "model.rule": "union",
        "model.members.tagger.loss": "bce",
        "model.members.neighbours.neighbours": 33,
        "data.task": "concepts",
    },
    "aueb-fuser": {
        "model.weights": "google/flan-t5-large",
        "model.training.learning_rate": 1e-4,
        "model.training.schedule": "linear",
        "model.training.batch": 2,
        "model.training.epochs": 4,
        "decoding.max_new_tokens": 300,
        "decoding.beams": 4,
    },
    "bsatlas-rocov2": {
        "model.weights": "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "model.quantization": "nf4",
        "model.roles": {"vision": "frozen", "projector": "frozen", "language": "adapter"},
        "model.adapter": {"r": 16, "alpha": 16, "dropout": 0.0},
        "model.training.batch": 2,
        "model.training.accumulate": 8,
        "model.training.epochs": 2,
        "model.training.warmup_steps": 25,
        "model.training.learning_rate": 1e-4,
        "model.training.schedule": "linear",
        "model.training.weight_decay": 0.01,
        "model.max_length": 2048,
        "decoding.max_new_tokens": 256,
        "decoding.temperature": 0.0,
    },
    "llava-pathvqa": {
        "model.weights": "llava-hf/llava-1.5-7b-hf",
        "model.quantization": "nf4",
        "model.precision": "fp16",
        "model.adapter.r": 4,
        "model.adapter.alpha": 32,
        "model.adapter.dropout": 0.05,
        "model.training.epochs": 3,
        "decoding.max_new_tokens": 100,
    },
    "aueb-few-shot": {
        "model.neighbours": 1,
        "model.threshold": 0.75,  # of the grid 0.75 to 0.95
        "model.members.llava.weights": "llava-hf/llava-1.5-7b-hf",
        "model.members.llava.roles.language": "frozen",
    },
    "aueb-synthesizer": {
        "model.neighbours": 5,
        "model.words": 50,
        "model.caption_sentences": 1,
        "model.members.writer.weights": "meta-llama/Llama-3.1-8B-Instruct",
        "model.members.writer.roles.language": "frozen",
        "decoding.beams": 4,
        "decoding.max_new_tokens": 100,
    },
    "aueb-synthesizer-trained": {
        "model.weights": "google/flan-t5-large",
        "model.neighbours": 5,
        "model.training.learning_rate": 1e-5,
    },
    "llava-imageclef": {
        "model.quantization": "nf4",
        "model.training.learning_rate": 1e-4,
        "model.training.batch": 4,
        "model.training.accumulate": 8,
        "model.training.epochs": 30,
        "model.training.clip": 1.0,
        "model.training.patience": 3,
        "model.training.keep_best": 3,
        "decoding.beams": 4,
    },
    "blip2-slake": {
        "model.weights": "Salesforce/blip2-flan-t5-xl",
        "model.roles": {"vision": "frozen", "qformer": "adapter", "projector": "frozen",
                        "language": "frozen"},
        "model.adapter.r": 8,
        "model.adapter.alpha": 32,
        "model.adapter.dropout": 0.1,
        "model.training.learning_rate": 2e-3,
        "model.training.epochs": 10,
        "model.precision": "fp16",
        "data.options.language": "en",
    },
    "vqa-detector": {
        "model.architecture": "yolov8n",
        "model.image_size": 640,
        "model.training.epochs": 5,
        "model.training.batch": 8,
        "data.task": "detect",
    },
    "vilt-slake": {
        "model.weights": "dandelin/vilt-b32-mlm",
        "model.training.learning_rate": 2e-5,
        "model.training.epochs": 3,
        "model.training.batch": 64,
        "model.precision": "fp16",
        "data.options.language": "en",
    },
    "vmed-llama3": {
        "stages.align.model.roles": {"vision": "frozen", "projector": "full",
                                     "language": "frozen"},
        "stages.instruct.model.adapter": {"r": 64, "alpha": 16, "dropout": 0.05},
        "stages.task.model.adapter": {"r": 64, "alpha": 16, "dropout": 0.05},
        "stages.task.model.training.epochs": 5,
        "stages.task.data.task": "visual_dialogue",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_numbers_are_in_their_recipe(name: str) -> None:
    recipe = load_recipe(ROOT / "recipes" / f"{name}.yaml")
    said = recipe.model_dump()
    said["stages"] = {stage["name"]: stage for stage in said["stages"]}
    for key, value in PUBLISHED[name].items():
        found: Any = said
        for part in key.split("."):
            found = found[part]
        assert found == value, key


def test_no_adapter_of_a_published_system_lands_elsewhere_than_published() -> None:
    """The Q-Former trap, at full size: on shapes without numbers."""
    parts = estimate(load_recipe(ROOT / "recipes" / "blip2-slake.yaml"))["estimate"]["parts"]
    assert {name for name, part in parts.items() if part["trainable"]} == {"qformer"}
    # 12 layers of width 768, 6 of them with cross-attention, the image of width 1408 being read by
    # keys and values; r 8 adds 8 x (in + out) to each:
    #   query, value, dense of self-attention: 12 x 3 x 8 x (768 + 768)        = 442,368
    #   query, dense of cross-attention:        6 x 2 x 8 x (768 + 768)        = 147,456
    #   value of cross-attention:               6 x 8 x (1408 + 768)           = 104,448
    #   the two dense layers of the MLP:       12 x 2 x 8 x (768 + 3072)       = 737,280
    assert parts["qformer"]["trainable"] == 442_368 + 147_456 + 104_448 + 737_280
    parts = estimate(load_recipe(ROOT / "recipes" / "llava-pathvqa.yaml"))["estimate"]["parts"]
    # 32 layers, queries and values, r 4: 32 x 2 x 4 x (4096 + 4096)
    assert parts["language"]["trainable"] == 2_097_152
    assert parts["vision"]["trainable"] == 0


@alone
def test_the_dry_run_of_the_tiny_form(path: Path) -> None:
    recipe = tiny(load_recipe(path))
    assert recipe.name == f"{path.stem}-tiny"
    planned = plan(recipe)
    for facts in planned.values() if recipe.stages else [planned]:
        assert facts["dialogues"] > 0
        if trains(recipe):
            assert facts["steps"] == 4


@pytest.mark.parametrize("name", COMBINED)
def test_the_dry_run_of_a_combination_counts_every_fit(name: str) -> None:
    planned = plan(tiny(load_recipe(ROOT / "recipes" / f"{name}.yaml")))
    assert planned["dialogues"] > 0
    members = planned["members"]
    trains = {key: one["fits"] for key, one in members.items() if one.get("steps")}
    assert trains == COMBINED[name]
    assert planned.get("steps") == (4 if name.endswith("-trained") else None)


@alone
def test_the_dry_run_without_data_or_weights(path: Path) -> None:
    recipe = load_recipe(path)
    said = estimate(recipe)
    for facts in said.values() if recipe.stages else [said]:
        if trains(recipe):
            assert facts["estimate"]["steps"] > 0
            assert facts["estimate"]["parameters"] >= facts["estimate"]["trainable"] > 0
        assert facts["basis"]["data"]


@pytest.mark.slow
@trained
def test_the_tiny_form_from_fit_to_export(path: Path, tmp_path: Path) -> None:
    recipe: Recipe = tiny(load_recipe(path))
    run = fit(recipe, tmp_path / "run")
    assert predict(run) > 0
    assert evaluate_run(run).overall()
    saved, said = run.recipe(), recipe.unrolled()[-1]
    assert saved.model_copy(update={"model": said.model}) == said
    assert merged(saved.model, said.model) == saved.model  # what was said, and every default
    assert saved.name.endswith("-tiny")
    done = export(run, tmp_path / "exported", check=2)  # loaded again, and asked
    assert done.checked == 2


@pytest.fixture(scope="module")
def reference() -> Iterator[ModuleType]:
    """The docs extension, which knows the commands and their options."""
    sys.path.insert(0, str(ROOT / "docs" / "_ext"))
    try:
        import vesalius_docs

        yield vesalius_docs
    finally:
        sys.path.remove(str(ROOT / "docs" / "_ext"))


def notebook_commands() -> list[list[str]]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    lines = code.replace("\\\n", " ").splitlines()
    return [shlex.split(line.removeprefix("!")) for line in lines if line.startswith("!vesalius")]


def test_the_notebook_is_plain_and_empty_of_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
            code = "".join(cell["source"])
            if not re.search(r"^[!%]", code, re.MULTILINE):
                compile(code, cell["id"], "exec")


def test_the_notebook_names_only_what_there_is(reference: ModuleType) -> None:
    known = reference.cli.commands()
    commands = notebook_commands()
    assert {words[1] for words in commands} >= {"fit", "predict", "evaluate", "report", "ask"}
    for words in commands:
        name = " ".join(words[1:3]) if words[1] == "data" else words[1]
        assert name in known, words
        flags = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert flags <= reference.cli.options(known[name]), words
        for word in words:
            if word.startswith(("recipes/", "examples/")):
                assert (ROOT / word).is_file(), word


def test_the_published_llava_prompt_can_be_chosen() -> None:
    text = (ROOT / "recipes" / "llava-pathvqa.yaml").read_text()
    (line,) = (line for line in text.splitlines() if "# chat_template:" in line)
    template = yaml.safe_load(line.partition("#")[2])["chat_template"]
    learner: Any = build(
        {"name": "generative", "family": "llava", "tiny": True, "chat_template": template}
    )
    picture = Picture("p", lambda: b"")
    asked = Dialogue("d", (Turn(Question("is it normal?"), (picture,)),), "g")
    network = learner.blueprint.network(*tiny_model(family("llava"), [asked], seed=0))
    said = network.encoder.template.render(asked).text
    assert said == "USER: <image>\nis it normal?\nASSISTANT:"
