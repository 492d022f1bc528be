"""``vesalius retrieve``: a table or JSON, an index made afterwards, and faults in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run
from vesalius.cli.main import app
from vesalius.errors import VesaliusError
from vesalius.steps.fit import fit
from vesalius.steps.prepare import cases

RECIPE = Recipe.model_validate(
    {
        "name": "r",
        "data": {
            "dataset": "phantom",
            "options": {"cases": {"train": 5, "validation": 2, "test": 2}, "size": 48},
        },
        "model": {"name": "majority"},
        "retrieve": {"neighbours": 2},
    }
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(RECIPE, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "mine.png"
    path.write_bytes(next(cases(RECIPE.data, "train")).pictures[0].read())
    return path


def said(*words: object) -> str:
    done = CliRunner().invoke(app, ["retrieve", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_a_table_tells_case_similarity_and_what_was_said(run: Run, image: Path) -> None:
    text = said(image, "--run", run.path)
    first = next(cases(RECIPE.data, "train"))
    assert first.id[:10] in text
    assert first.questions[0].text[:20] in text
    assert "this very picture was trained on" in text
    assert "not a medical device" in text
    others = said(image, "--run", run.path, "--others")
    assert "this very picture" not in others


def test_json_is_for_machines(run: Run, image: Path) -> None:
    found = json.loads(said(image, "--run", run.path, "--json", "--neighbours", 3))["neighbours"]
    assert [one["same_picture"] for one in found] == [True, False, False]
    assert set(found[0]) == {"case", "similarity", "picture", "text", "same_picture"}
    assert len(json.loads(said(image, "--run", run.path, "--json"))["neighbours"]) == 2


def test_nothing_similar_is_said_so(run: Run, image: Path, tmp_path: Path) -> None:
    path = run.path.parent / "strict"
    strict = RECIPE.model_copy(
        update={"retrieve": RECIPE.retrieve.model_copy(update={"threshold": 1.0})}
    )
    new = tmp_path / "test.png"
    new.write_bytes(next(cases(RECIPE.data, "test")).pictures[0].read())
    fit(strict, path)
    assert "similar enough" in said(new, "--run", path)


def test_an_index_can_be_made_afterwards(image: Path, tmp_path: Path) -> None:
    made = fit(RECIPE.model_copy(update={"retrieve": None}), tmp_path / "run")
    text = said("--build", "--thumbnails", 16, "--run", made.path)
    assert "index of similar cases" in text
    assert (made.index / "thumbnails.bin").exists()
    found = json.loads(said(image, "--build", "--json", "--run", made.path))["neighbours"]
    assert found[0]["same_picture"]
    assert not (made.index / "thumbnails.bin").exists()


def test_a_sheet_shows_the_query_and_its_neighbours(run: Run, image: Path, tmp_path: Path) -> None:
    page = tmp_path / "sheet.html"
    assert f"wrote {page}" in said(image, "--run", run.path, "--sheet", page)
    html = page.read_text()
    assert html.count("<article>") == 3  # the query, and two neighbours
    assert html.count("data:image/jpeg") == 1  # the query's own; the index has no thumbnails
    assert html.count("no thumbnail in the index") == 2
    said("--split", "test", "--run", run.path, "--sheet", page)
    assert page.read_text().count('class="query"') == 2


def test_a_sweep_tells_neighbours_by_threshold(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "sweep.html"
    flags = ("--sweep", "--split", "test", "--run", run.path, "--threshold", 0.3, "--plot", page)
    text = said(*flags)
    assert "2 of 2" in text
    result = json.loads(said(*flags, "--json"))
    grid = [row["threshold"] for row in result["thresholds"]]
    assert grid == [0.3, 0.6, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert (result["queries"], result["most"]) == (2, 2)
    assert sum(bar["all"] for bar in result["histogram"]) == 4
    assert page.read_text().count("<svg") == 3


def test_words_search_where_the_index_has_them(run: Run, tmp_path: Path) -> None:
    made = fit(RECIPE, tmp_path / "run")
    said("--build", "--set", "sentences=minilm", "--set", "by=finding", "--run", made.path)
    near = json.loads(said("--text", "a cyst", "--json", "--run", made.path))["neighbours"]
    assert len(near) == 2
    assert near[0]["text"]


def test_faults_are_one_line(run: Run, image: Path, tmp_path: Path) -> None:
    bare = fit(RECIPE.model_copy(update={"retrieve": None}), tmp_path / "bare")
    for words, line in [
        ([image, "--run", bare.path], "has no index of similar cases"),
        ([image, "--run", tmp_path], "is not a run"),
        (["--run", run.path], "or say --build"),
        ([image, "--run", run.path, "--thumbnails", "9"], "belong to --build"),
        ([tmp_path / "none.png", "--run", run.path], "there is no such file"),
        (["--build", "--encoder", tmp_path, "--run", run.path], "no such encoder"),
    ]:
        with pytest.raises(VesaliusError) as fault:
            said(*words)
        assert line in str(fault.value)
        assert "\n" not in str(fault.value)
    assert len(json.loads(said(image, "--run", run.path, "--json"))["neighbours"]) == 2
