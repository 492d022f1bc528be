"""An offline review: blinded, of several runs, and read again as ratings of each run's answers."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from vesalius import Recipe, Run
from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.preference_pairs import preference_pairs
from vesalius.evaluation.rated_systems import System, ratings_of
from vesalius.evaluation.rating_files import read_ratings
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.review import PAGE, TABLE, review_package

OPTIONS = {"cases": {"train": 4, "validation": 1, "test": 6}, "size": 40}


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """A run's answers, and another's, which are the references."""
    recipe = {"name": "secretname", "data": {"dataset": "phantom", "options": OPTIONS}}
    one = fit(Recipe.model_validate(recipe | {"model": {"name": "majority"}}), tmp_path / "one")
    predict(one)
    two = fit(one.recipe(), tmp_path / "two")
    rows = [row.to_row() for row in one.predictions()]
    two.append([Prediction.from_row(r | {"answer": r["references"][0]}) for r in rows])
    return [one, two]


def rated(folder: Path, rater: str) -> Path:
    """The empty table of a package, filled in: long answers are good ones."""
    path = folder / TABLE
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    page = (folder / PAGE).read_text()
    for row in rows:
        item = page.split(f'data-id="{row["id"]}"')[1]
        answer = re.search(r'class="answer">(.*?)<', item)
        assert answer is not None
        row |= {"rater": rater, "accuracy": str(1 + len(answer[1]) % 5)}
    filled = folder / f"{rater}.csv"
    with filled.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return filled


def test_nothing_tells_of_the_case_or_the_run(runs: list[Run], tmp_path: Path) -> None:
    count = review_package(runs, 5, tmp_path / "out")
    assert count == 10
    text = (tmp_path / "out" / PAGE).read_text() + (tmp_path / "out" / TABLE).read_text()
    for run in runs:
        for row in run.predictions():
            assert row.id not in text
            assert row.picture is None or row.picture not in text
    assert "secretname" not in text
    assert "majority" not in text
    assert "http:" not in text
    assert "https:" not in text
    assert text.count("data:image/png;base64,") == 10


def test_ratings_go_back_to_each_run_s_answers(runs: list[Run], tmp_path: Path) -> None:
    review_package(runs, 5, tmp_path / "out")
    ratings = read_ratings(rated(tmp_path / "out", "ana"))
    assert len(ratings) == 10
    for run in runs:
        theirs = ratings_of(run, ratings)
        answers = {row.id: row for row in run.predictions()}
        assert len(theirs) == 5
        assert all(
            one.axes["accuracy"] == 1 + len(answers[one.prediction].text) % 5 for one in theirs
        )
    pairs = preference_pairs(runs, ratings)
    assert pairs
    assert {row["chosen_run"] for row in pairs} <= {"one", "two"}


def test_references_are_one_more_system(runs: list[Run], tmp_path: Path) -> None:
    one, out = runs[0], tmp_path / "out"
    assert review_package([one], 5, out, references=True) == 10
    assert "references" not in (out / PAGE).read_text().split("<body>")[1]
    ratings = read_ratings(rated(out, "ana"))
    experts = System.of_references(one.predictions())
    theirs = experts.ratings(ratings, strict=True)
    assert {one.review for one in theirs} == {experts.review}
    assert len(theirs) == len(ratings_of(one, ratings)) == 5
    words = {name: row.text for name, row in experts.answers.items()}
    assert all(one.axes["accuracy"] == 1 + len(words[one.prediction]) % 5 for one in theirs)


def test_runs_on_other_cases_are_refused(runs: list[Run], tmp_path: Path) -> None:
    one, two = runs
    rows = [row.to_row() for row in one.predictions()]
    two.predictions_file().unlink()
    two.append([Prediction.from_row(row | {"question": "what else?"}) for row in rows])
    with pytest.raises(NotComparable, match="other questions"):
        review_package(runs, 5, tmp_path / "out")
    with pytest.raises(RunError, match="the same answers"):
        review_package([one, one], 5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_package_is_the_same_each_time_and_none_is_written_over_another(
    runs: list[Run], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    review_package(runs, 5, out)
    before = (out / PAGE).read_bytes()
    review_package(runs, 5, out)
    assert (out / PAGE).read_bytes() == before
    with pytest.raises(RunError, match="a package of other answers"):
        review_package(runs, 4, out)
    assert (out / PAGE).read_bytes() == before


def test_what_cannot_be_reviewed_is_refused(runs: list[Run], tmp_path: Path) -> None:
    one, two = runs
    rows = [row.to_row() for row in one.predictions()]
    two.predictions_file().unlink()
    with pytest.raises(RunError, match="has no answers to review"):
        review_package(runs, 5, tmp_path / "out")
    two.append([Prediction.from_row(row | {"id": f"x{row['id']}"}) for row in rows])
    with pytest.raises(RunError, match="no question has an answer in words of every run"):
        review_package(runs, 5, tmp_path / "out")
    two.predictions_file().unlink()
    two.append([Prediction.from_row(rows[0] | {"picture": "gone.png"})])
    with pytest.raises(RunError, match="is not where its data set was"):
        review_package([two], 5, tmp_path / "out")
    two.predictions_file().unlink()
    two.append([Prediction.from_row(row | {"answer": ""}) for row in rows])
    with pytest.raises(RunError, match="answer in words"):
        review_package([two], 5, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_words_of_a_case_are_escaped(runs: list[Run], tmp_path: Path) -> None:
    one = runs[0]
    rows = [row.to_row() | {"answer": "<script>alert(1)</script>"} for row in one.predictions()]
    one.predictions_file().unlink()
    one.append([Prediction.from_row(row) for row in rows])
    review_package([one], 3, tmp_path / "out")
    assert "<script>alert" not in (tmp_path / "out" / PAGE).read_text()
