"""Fitting on splits that leak is refused, before any run folder is made."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius import Recipe
from vesalius.errors import DatasetError, Leakage, RecipeError, RunError
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict


def recipe(folder: Path, *, shared: bool, leaks: str = "refuse") -> Recipe:
    rows = []
    for index, split in enumerate(("train", "train", "validation", "test")):
        pixels = np.random.default_rng(index).integers(0, 255, (48, 48), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")
        patient = "p0" if shared and split == "test" else f"p{index}"
        rows.append((f"{index}.png", "what is this?", "noise", patient, split))
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "question", "answer", "patient", "split"))
        writer.writerows(rows)
    return recipe_of(folder, leaks)


def recipe_of(folder: Path, leaks: str = "refuse") -> Recipe:
    data = {"dataset": "folder", "root": str(folder / "rows.csv"), "leaks": leaks}
    return Recipe.model_validate({"name": "r", "data": data, "model": {"name": "majority"}})


def test_a_shared_patient_stops_the_fit(tmp_path: Path) -> None:
    with pytest.raises(Leakage, match=r"train/.*test/"):
        fit(recipe(tmp_path, shared=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_leaks_that_are_allowed_are_recorded(tmp_path: Path) -> None:
    run = fit(recipe(tmp_path, shared=True, leaks="allow"), tmp_path / "run")
    assert sum(run.status()["data"]["leaks"].values()) == 1
    clean = fit(recipe(tmp_path, shared=False), tmp_path / "clean")
    assert clean.status()["data"]["leaks"] == {}


def test_leaking_training_cases_can_be_dropped(tmp_path: Path) -> None:
    """Two training cases; the first shares its patient with the test split, so one is left."""
    run = fit(recipe(tmp_path, shared=True, leaks="drop"), tmp_path / "run")
    data = run.status()["data"]
    assert (data["train"]["dialogues"], data["dropped"]) == (1, {"train": 1})


def test_a_training_split_that_leaks_whole_is_an_error(tmp_path: Path) -> None:
    leaking = recipe(tmp_path, shared=True, leaks="drop")
    data = leaking.data.model_copy(update={"limit": {"train": 1}})
    with pytest.raises(RecipeError, match="every case of 'train' leaks"):
        fit(leaking.model_copy(update={"data": data}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unreadable_picture_stops_the_fit(tmp_path: Path) -> None:
    broken = recipe(tmp_path, shared=False)
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:200])
    with pytest.raises(DatasetError, match="1 cases have unreadable pictures"):
        fit(broken, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_data(tmp_path: Path) -> None:
    fit(recipe(tmp_path, shared=False), tmp_path / "run")
    rows = (tmp_path / "rows.csv").read_text()
    (tmp_path / "rows.csv").write_text(rows.replace("noise", "grain", 1))
    with pytest.raises(RunError, match="the data are not those this run began with"):
        fit(recipe_of(tmp_path), tmp_path / "run")


def test_a_fit_tells_of_columns_that_were_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = recipe(tmp_path, shared=False)
    table = tmp_path / "rows.csv"
    table.write_text(table.read_text().replace("patient", "subject_id"))
    fit(own, tmp_path / "run")
    assert "the column or key 'subject_id' is not read" in caplog.text
    assert "unread_patient" in caplog.text


def counting_anew(folder: Path, **ids: list[str]) -> Recipe:
    """Rows without pictures and patients, whose ids are given for each split."""
    for split, names in ids.items():
        rows = [{"id": name, "question": f"{split} {name}?", "answer": "yes"} for name in names]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset": "folder", "root": str(folder), "leaks": "drop", "task": "vqa"}
    return Recipe.model_validate({"name": "r", "data": data, "model": {"name": "majority"}})


def test_ids_that_count_anew_in_each_split_drop_nothing(tmp_path: Path) -> None:
    ids = [str(n) for n in range(6)]
    own = counting_anew(tmp_path, train=ids, validation=ids[:2], test=ids[:3])
    run = fit(own, tmp_path / "run")
    data = run.status()["data"]
    assert (data["train"]["dialogues"], data["leaks"], data.get("dropped", {})) == (6, {}, {})
    assert predict(run) == 3
    assert len(list(run.predictions())) == 3


def test_an_id_twice_in_a_split_is_refused_before_an_answer_is_lost(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="two questions of the split have the id '0/0'"):
        fit(counting_anew(tmp_path, train=["0", "0"], validation=["0"], test=[]), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    own = counting_anew(tmp_path, train=["0"], validation=["0"], test=["0", "1", "1"])
    run = fit(own, tmp_path / "run")
    with pytest.raises(DatasetError, match="have the id '1/1'"):
        predict(run)


def test_system_turns_that_a_classifier_does_not_read_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "validation", "test"):
        rows = [
            {"id": f"{n}", "query": f"{split} {n}?", "response": "yes", "system": "Be brief."}
            for n in range(2)
        ]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset": "folder", "root": str(tmp_path)}
    fit(
        Recipe.model_validate({"name": "r", "data": data, "model": {"name": "majority"}}),
        tmp_path / "run",
    )
    assert "4 dialogues have a system turn, which majority does not read" in caplog.text
