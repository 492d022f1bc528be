"""A fit that leaves an index, and an index for a run that has none: training pictures alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius import Picture, Recipe, Run
from vesalius.combine.retrieval.index import Index
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.errors import ImageError, ModelError, RecipeError, RunError
from vesalius.models.encoders import ImageEncoder
from vesalius.recipe import Retrieve
from vesalius.settings import validated
from vesalius.steps.demo import BASELINES
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.prepare import cases
from vesalius.steps.retrieve import build, retrieve
from vesalius.steps.tiny import tiny

PHANTOMS = {"cases": {"train": 12, "validation": 3, "test": 3}, "size": 48}


def recipe(**changes) -> Recipe:
    said = {
        "name": "r",
        "data": {"dataset": "phantom", "options": PHANTOMS},
        "model": {"name": "majority"},
        "retrieve": {"thumbnails": 24},
    }
    return Recipe.model_validate(said | changes)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return fit(recipe(), tmp_path_factory.mktemp("retrieve") / "run")


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Run:
    return fit(recipe(retrieve=None), tmp_path_factory.mktemp("bare") / "run")


def shown(data, split: str) -> dict[str, Picture]:
    return {picture.key: picture for case in cases(data, split) for picture in case.pictures}


def test_a_fit_indexes_every_training_picture_and_no_other(run) -> None:
    data = recipe().data
    keys = {item.key for item in Index.load(run.index).items}
    assert keys == set(shown(data, "train"))
    assert not keys & (set(shown(data, "validation")) | set(shown(data, "test")))
    assert run.status()["index"]["pictures"] == 12
    retriever = Retriever.load(run)
    assert all(retriever.thumbnail(key) for key in keys)
    assert retriever.facts["split"] == "train"
    assert retriever.facts["data"] == run.status()["data"]["train"]["sha256"]


def test_what_leaks_and_is_dropped_from_training_is_not_indexed(tmp_path) -> None:
    """Of three training pictures one is a picture of the test split, under another patient."""
    numbers = {"a.png": 0, "b.png": 1, "c.png": 2, "d.png": 3, "e.png": 1}
    splits = {"d.png": "validation", "e.png": "test"}
    rows = ["image,question,answer,patient,split"]
    for name, number in numbers.items():
        pixels = np.random.default_rng(number).integers(0, 255, (48, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
        rows.append(f"{name},what is this?,noise,of {name},{splits.get(name, 'train')}")
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(rows))
    data = {"dataset": "folder", "root": str(table), "leaks": "drop"}
    run = fit(recipe(data=data), tmp_path / "run")
    assert run.status()["data"]["dropped"] == {"train": 1}
    assert {item.key for item in Index.load(run.index).items} == {"a.png", "c.png"}
    assert build(run)["pictures"] == 2


def test_without_the_block_there_is_none_and_the_digest_stays(bare) -> None:
    assert not bare.index.exists()
    assert Retriever.load(bare) is None
    with pytest.raises(RunError, match="retrieve --build"):
        retrieve(bare, _file(bare, "test"))
    # As it was before recipes had this key.
    before = Recipe.model_validate({"name": "x", "data": {"dataset": "d"}, "model": {"name": "m"}})
    assert before.digest() == "22fab0a0d8e17db3"
    assert before.model_copy(update={"retrieve": Retrieve()}).digest() != before.digest()


def test_a_run_saved_before_the_key_goes_on(tmp_path) -> None:
    made = fit(recipe(retrieve=None), tmp_path / "run")
    path = made.path / "recipe.yaml"
    path.write_text(path.read_text().replace("retrieve: null\n", ""))
    assert fit(recipe(retrieve=None), tmp_path / "run").fitted
    with pytest.raises(RunError, match="another recipe"):
        fit(recipe(), tmp_path / "run")


def test_a_fit_killed_while_indexing_goes_on_without_fitting_again(tmp_path, monkeypatch) -> None:
    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Index, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe(), tmp_path / "run")
    made = Run.open(tmp_path / "run")
    assert made.fitted
    assert Retriever.load(made) is None
    with pytest.raises(RunError, match="vesalius fit with the same recipe"):
        retrieve(made, _file(made, "test"))
    finished = made.status()["finished"]
    monkeypatch.setattr(ImageEncoder, "embed", dies)  # all vectors are there
    fit(recipe(), tmp_path / "run")
    assert len(Retriever.load(made)) == 12
    assert made.status()["finished"] == finished
    assert not (made.path / ".index.parts").exists()
    before = (made.index / "about.json").stat().st_mtime_ns
    fit(recipe(), tmp_path / "run")  # and it is not made again
    assert (made.index / "about.json").stat().st_mtime_ns == before


def test_what_indexing_would_refuse_is_refused_before_the_folder_is_made(tmp_path) -> None:
    with pytest.raises(ModelError, match="no such encoder"):
        fit(recipe(retrieve={"encoder": str(tmp_path)}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_the_last_stage_is_indexed() -> None:
    first, last = recipe(stages=[{"name": "a"}, {"name": "b"}]).unrolled()
    assert first.retrieve is None
    assert last.retrieve == Retrieve(thumbnails=24)


def test_an_unknown_key_is_named_with_the_nearest() -> None:
    said = recipe().model_dump() | {"retrieve": {"neighbors": 3}}
    with pytest.raises(RecipeError, match=r"retrieve\.neighbors.*retrieve\.neighbours"):
        validated(Recipe, said, where="r.yaml")


def test_tiny_keeps_the_block_and_needs_no_hub(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    made = tiny(recipe(retrieve={"encoder": "some/hub-model", "neighbours": 5}))
    assert made.retrieve == Retrieve(neighbours=5)
    assert tiny(recipe(retrieve=None)).retrieve is None


def test_a_picture_file_is_answered_with_other_cases(run, tmp_path) -> None:
    found = retrieve(run, _file(run, "test"), 2)
    assert len(found) == 2
    assert all(n.case in {case.id for case in cases(recipe().data, "train")} for n in found)
    mine = _file(run, "train")
    told, left_out = retrieve(run, mine, 1)[0], retrieve(run, mine, 1, others=True)[0]
    assert told.similarity == pytest.approx(1, abs=1e-5)
    assert left_out.case != told.case
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(ImageError, match=r"no\.png"):
        retrieve(run, tmp_path / "no.png")


def test_an_index_for_a_run_that_has_none(bare, run) -> None:
    weights = {p: p.read_bytes() for p in bare.weights.rglob("*") if p.is_file()}
    facts = build(bare, Retrieve(neighbours=5))
    assert (facts["pictures"], facts["settings"]["neighbours"]) == (12, 5)
    retriever = Retriever.load(bare)
    assert retriever.settings.neighbours == 5
    image = Picture.from_file(_file(run, "test"))
    assert retriever.neighbours([image], 3) == Retriever.load(run).neighbours([image], 3)
    assert {p: p.read_bytes() for p in weights} == weights
    assert load(bare) is not None


def test_an_index_is_of_what_was_trained_on_or_refused(tmp_path) -> None:
    made = fit(recipe(retrieve=None), tmp_path / "run")
    path = made.path / "recipe.yaml"
    path.write_text(path.read_text().replace("train: 12", "train: 11"))
    with pytest.raises(RunError, match="not those this run was fitted on"):
        build(made)
    unfitted = Run.create(tmp_path / "new", recipe())
    with pytest.raises(RunError, match="not fitted to the end"):
        build(unfitted)


def test_the_demo_indexes_once() -> None:
    from importlib.resources import as_file, files

    from vesalius.recipe import load_recipe

    with as_file(files("vesalius.steps") / "demo.yaml") as file:
        assert load_recipe(file).retrieve == Retrieve(thumbnails=128)
    assert "nearest" in BASELINES


def _file(made: Run, split: str) -> Path:
    """A picture of the split as a file of its own."""
    picture = next(iter(shown(recipe().data, split).values()))
    path = made.path.parent / f"{split}.png"
    path.write_bytes(picture.read())
    return path
