"""What a run notes of its data's concepts, and what is told of unknown ones."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vesalius import Recipe
from vesalius.cli.main import app
from vesalius.data.synthetic.draw import draw
from vesalius.errors import RunError
from vesalius.run import CONCEPTS, ConceptFacts, Run
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.report import report


@pytest.fixture(scope="module")
def roco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "roco"
    return draw("roco", folder, cases={"train": 6, "validation": 3, "test": 3}, seed=0)


def recipe(root: Path, **data: Any) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tags",
            "data": {"dataset": "roco", "root": str(root), "task": "concepts", **data},
            "model": {"name": "tagger", "head_epochs": 1},
            "evaluation": {"metrics": ["concepts_f1"], "watch": "concepts.f1", "resamples": 20},
        }
    )


def test_a_run_knows_its_concepts_by_name_and_tells_the_long_tail(
    roco: Path, tmp_path: Path
) -> None:
    run = fit(recipe(roco), tmp_path / "run")
    concepts = run.concepts()
    with (roco / "cui_mapping.csv").open() as file:
        names = {row["CUI"]: row["Canonical name"] for row in csv.DictReader(file)}
    assert {concept: facts.name for concept, facts in concepts.items()} == names
    with (roco / "train_concepts.csv").open() as file:
        listed = [row["CUIs"].split(";") for row in csv.DictReader(file)]
    assert sum(facts.train for facts in concepts.values()) == sum(map(len, listed))
    assert concepts["C0040405"].kind == "Diagnostic Procedure"  # the own dictionary's, if none is
    predict(run)
    shown = CliRunner().invoke(app, ["evaluate", str(run.path)])
    assert shown.exit_code == 0
    assert "training frequency" in shown.stdout
    page = report(run).read_text()
    assert '<section id="concepts">' in page
    assert f"{names['C0040405']}" in page


def test_an_unknown_cui_is_told_once_with_its_row(
    roco: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "roco"
    root.mkdir()
    for path in roco.iterdir():
        (root / path.name).symlink_to(path)
    table = root / "train_concepts.csv"
    lines = table.read_text().splitlines()
    table.unlink()
    lines[2] += ";C9999999"
    table.write_text("\n".join(lines) + "\n")
    with caplog.at_level(logging.WARNING):
        fit(recipe(root), tmp_path / "run")
    (told,) = [one.getMessage() for one in caplog.records if "C9999999" in one.getMessage()]
    assert "train_captions.csv row 2: C9999999 is not in cui_mapping.csv" in told
    assert "unknown_concept" in told


def test_captions_give_concepts_to_learn(roco: Path, tmp_path: Path) -> None:
    options = {"concepts_from": "vesalius"}
    run = fit(recipe(roco, options=options), tmp_path / "run")
    assert run.status()["labels"] >= 4
    assert run.concepts()["C0032227"].name == "Pleural effusion"


def test_a_table_that_is_none_is_refused(tmp_path: Path, roco: Path) -> None:
    run = Run.create(tmp_path / "run", recipe(roco))
    assert run.concepts() == {}
    run.note_concepts({"C1": ConceptFacts("one", None, 3)})
    assert run.concepts() == {"C1": ConceptFacts("one", None, 3)}
    (run.path / CONCEPTS).write_text('{"C1": {"called": "one"}}')
    with pytest.raises(RunError, match="not a table of concepts"):
        run.concepts()
