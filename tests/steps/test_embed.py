"""Vectors made ahead: those of one process by any number, and no fit encodes them again."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from vesalius import Recipe
from vesalius.cli.main import app
from vesalius.data.open import open_dataset
from vesalius.errors import ImageError, RecipeError, RunError
from vesalius.models.encoders import ImageEncoder, _image_encoder
from vesalius.models.feature_cache import FEATURES_MB
from vesalius.models.sentences import SentenceEncoder
from vesalius.steps import embed as module
from vesalius.steps.embed import Embedding, SharedEmbedding, embed, shared_embedding
from vesalius.steps.fit import fit
from vesalius.system.files import append_lines

OPTIONS = {"cases": {"train": 6, "validation": 3, "test": 3}, "size": 48}
IMAGES = "efficientnet_lite0"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, encoders that remember nothing, and shards of a few items."""
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(FEATURES_MB, "64")
    monkeypatch.setattr(module, "UNIT", 8)
    _image_encoder.cache_clear()


def phantoms() -> Any:
    return open_dataset("phantom", options=OPTIONS)


def vectors(folder: Path) -> list[bytes]:
    """What a cache holds; its keys are salted anew in each."""
    with sqlite3.connect(folder / "features" / "features.sqlite") as database:
        rows = database.execute("SELECT vector FROM features").fetchall()
    return sorted(row[0] for row in rows)


def test_workers_give_the_vectors_of_one_process_and_no_fit_encodes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    count = embed(Embedding(phantoms(), IMAGES, "minilm"))
    alone = vectors(tmp_path / "cache")
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "merged"))
    _image_encoder.cache_clear()
    make, at = partial(shared_embedding, phantoms), tmp_path / "shards"
    job = make(str(at), IMAGES, "minilm")
    with pytest.raises(RunError, match="shards have no result"):
        job.merge()
    assert job.work() == count
    assert not (tmp_path / "merged").exists()  # a worker leaves shards, and no more
    assert job.merge() == count
    assert vectors(tmp_path / "merged") == alone
    assert len(alone) == count > 12
    held = "".join(path.read_text() for path in at.glob("*.jsonl"))
    assert not any(
        question.text in held for c in phantoms().cases("test") for question in c.questions
    )

    def never(*_: object) -> None:
        raise AssertionError("everything is encoded already")

    _image_encoder.cache_clear()
    monkeypatch.setattr(ImageEncoder, "_encode", never)
    monkeypatch.setattr(SentenceEncoder, "_encode", never)
    data = {"dataset": "phantom", "options": OPTIONS, "leaks": "allow"}
    recipe = {"name": "probe", "data": data, "model": {"name": "linear_probe", "epochs": 1}}
    run = fit(Recipe.model_validate(recipe), tmp_path / "run")
    assert run.status()["state"] == "fitted"


def test_another_encoder_and_a_cache_that_is_off_or_small_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = str(tmp_path / "shards")
    job = SharedEmbedding(Embedding(phantoms(), IMAGES), at)
    job.work()
    with pytest.raises(RunError, match="another job's shards: here sentences"):
        SharedEmbedding(Embedding(phantoms(), IMAGES, "minilm"), at)
    monkeypatch.setenv(FEATURES_MB, "0")
    for put in (job.merge, lambda: embed(Embedding(phantoms(), IMAGES))):
        with pytest.raises(RecipeError, match="FEATURES_MB: the feature cache is off"):
            put()
    monkeypatch.setenv(FEATURES_MB, "1")
    monkeypatch.setattr(module, "OVERHEAD", 2**20)
    with pytest.raises(RecipeError, match=r"12 vectors of 1280 numbers .* \(set it to 13 at least"):
        job.merge()
    monkeypatch.setenv(FEATURES_MB, "13")
    assert job.merge() == 12


def test_a_cache_that_takes_nothing_is_told(tmp_path: Path, monkeypatch) -> None:
    job = SharedEmbedding(Embedding(phantoms(), IMAGES), str(tmp_path / "shards"))
    job.work()
    (tmp_path / "cache").write_text("a file where the folder would be")
    with pytest.raises(RunError, match="the feature cache: does not hold all"):
        job.merge()


def test_a_cache_that_drops_some_for_others_is_told(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "OVERHEAD", -5 * 2**10)
    monkeypatch.setenv(FEATURES_MB, "1")
    many = {"cases": {"train": 240}, "size": 48}
    dataset = open_dataset("phantom", options=many)
    monkeypatch.setattr(
        ImageEncoder, "_encode", lambda _, pixels: np.ones((len(pixels), 1280), "f4")
    )
    job = SharedEmbedding(Embedding(dataset, IMAGES), str(tmp_path / "shards"))
    job.work()
    for put in (job.merge, lambda: embed(Embedding(dataset, IMAGES))):
        with pytest.raises(RunError, match=f"does not hold all .*{FEATURES_MB}"):
            put()


def test_a_picture_that_cannot_be_read_ends_it_with_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "bad.png").write_bytes(b"no picture")
    append_lines(folder / "train.jsonl", [{"id": "a", "image": "bad.png", "caption": "b"}])
    job = SharedEmbedding(Embedding(open_dataset("folder", folder), IMAGES), str(tmp_path / "at"))
    with pytest.raises(ImageError, match=r"bad\.png"):
        job.work()


def test_the_command_works_merges_and_tells(tmp_path: Path) -> None:
    words = ["data", "embed", "phantom", "--set", f"cases={json.dumps(OPTIONS['cases'])}"]
    words += ["--set", "size=48"]
    assert CliRunner().invoke(app, [*words, "--worker"]).exception is not None
    at = ["--shards", str(tmp_path / "shards")]
    assert "next: the same command" in CliRunner().invoke(app, [*words, *at, "--worker"]).output
    merged = CliRunner().invoke(app, [*words, *at, "--merge"])
    assert "the feature cache has the vectors of 12 pictures" in merged.output
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 0
    assert len(vectors(tmp_path / "cache")) == 12
