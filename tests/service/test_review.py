"""Review over HTTP: blinded, each rater alone, in an order of their own, to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from serving import Serving, serving
from typer.testing import CliRunner

from vesalius.cases.rating import AXES
from vesalius.cli.main import app
from vesalius.errors import RecipeError, RunError
from vesalius.run import Run
from vesalius.service.chat.review import Review
from vesalius.service.settings import settings
from vesalius.steps.report import pictures_of
from vesalius.system.files import append_lines

RECIPE = """
name: majority
data: {dataset: phantom, options: {cases: {train: 16, validation: 4, test: 4}}}
model: {name: majority}
"""
GRADES = dict.fromkeys(AXES, 4)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "r.yaml").write_text(RECIPE)
    for words in (
        ["fit", str(folder / "r.yaml"), "--run", str(folder / "run")],
        ["predict", "--run", str(folder / "run")],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, repr(done.exception)
    return folder / "run"


@pytest.fixture(scope="module")
def reviewing(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    options = {"run": run, "review": 20, "replay": None, "keys": "on", "rate_per_minute": 100_000}
    with serving(tmp_path_factory.mktemp("review"), **options) as running:
        yield running


def rater(api: Serving) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.service.store.create_key('rater')[1]}"}


def test_every_answer_comes_once_in_an_order_of_ones_own(reviewing: Serving, run: Path) -> None:
    assert sum(1 for _ in Run.open(run).predictions()) > 20
    orders = []
    for headers in (rater(reviewing), rater(reviewing)):
        state, seen = reviewing.client.get("/review", headers=headers).json(), []
        assert (state["total"], state["rated"]) == (20, 0)
        while state["item"]:
            # And nothing else: of ratings one's own alone, which there is none of yet.
            assert set(state["item"]) == {"item_id", "question", "answer", "rating"}
            assert state["item"]["rating"] is None
            assert state["previous"] == (seen[-1] if seen else None)
            seen.append(state["item"]["item_id"])
            rating = {"item_id": seen[-1], **GRADES}
            answer = reviewing.client.post("/review", json=rating, headers=headers)
            assert answer.status_code == 201
            state = answer.json()
            assert state["rated"] == len(seen)
        assert len(set(seen)) == len(seen) == 20
        orders.append(seen)
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_the_picture_is_the_one_that_was_asked_about(reviewing: Serving, run: Path) -> None:
    headers = rater(reviewing)
    item = reviewing.client.get("/review", headers=headers).json()["item"]
    rated = reviewing.service.review.item(item["item_id"])
    seen = reviewing.client.get(f"/review/{item['item_id']}/picture", headers=headers)
    assert seen.headers["content-type"] == "image/png"
    own = Image.open(BytesIO(pictures_of(Run.open(run))(rated.picture))).convert("RGB")
    assert not ImageChops.difference(
        Image.open(BytesIO(seen.content)).convert("RGB"), own
    ).getbbox()
    assert rated.prediction not in json.dumps(item)


def test_ratings_are_checked_replaced_and_told_to_the_operator(reviewing: Serving) -> None:
    headers = rater(reviewing)
    item_id = reviewing.client.get("/review", headers=headers).json()["item"]["item_id"]
    for wrong in (
        {"accuracy": 6}, {"accuracy": 0}, {"accuracy": True}, {"errors": ["ugly"]}, {"seconds": -1},
        {"accuracy": None}, {"cannot_judge": True},
    ):  # fmt: skip
        answer = reviewing.client.post(
            "/review", json={"item_id": item_id, **GRADES, **wrong}, headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    for grade in (1, 2):
        rating = {"item_id": item_id, **GRADES, "accuracy": grade, "errors": ["unsafe"]}
        assert reviewing.client.post("/review", json=rating, headers=headers).status_code == 201
    unknown = reviewing.client.post("/review", json={"item_id": "itm_0", **GRADES}, headers=headers)
    assert unknown.json()["code"] == "not_found"
    state = str(reviewing.service.settings.state)
    lines = CliRunner().invoke(app, ["ratings", "--state", state]).stdout.splitlines()
    prediction = reviewing.service.review.item(item_id).prediction
    (mine,) = [
        row
        for row in map(json.loads, lines)
        if row["id"] == prediction and row["errors"] == ["unsafe"]
    ]
    assert mine["accuracy"] == 2
    assert mine["review"].startswith("majority ")
    assert mine["rater"].startswith("own_")


def test_one_may_go_back_and_find_what_one_thought(reviewing: Serving) -> None:
    headers, other = rater(reviewing), rater(reviewing)
    first = reviewing.client.get("/review", headers=headers).json()["item"]["item_id"]
    rating = {"item_id": first, **GRADES, "clarity": 2, "errors": ["unsafe"], "seconds": 7.5}
    after = reviewing.client.post("/review", json=rating, headers=headers).json()
    assert (after["previous"], after["item"]["item_id"] != first) == (first, True)
    back = reviewing.client.get("/review", params={"item_id": first}, headers=headers).json()
    assert (back["item"]["rating"]["clarity"], back["item"]["rating"]["errors"]) == (2, ["unsafe"])
    assert (back["rated"], back["previous"]) == (1, None)
    theirs = reviewing.client.get("/review", params={"item_id": first}, headers=other).json()
    assert theirs["item"]["rating"] is None  # nobody sees another's
    none = reviewing.client.get("/review", params={"item_id": "itm_0"}, headers=headers)
    assert (none.status_code, none.json()["code"]) == (404, "not_found")
    assert [one.seconds for one in reviewing.service.store.ratings() if one.seconds] == [7.5]


def test_what_cannot_be_judged_is_counted_and_has_no_grades(reviewing: Serving) -> None:
    headers = rater(reviewing)
    item = reviewing.client.get("/review", headers=headers).json()["item"]["item_id"]
    rating = {"item_id": item, "cannot_judge": True, "comment": "too dark"}
    state = reviewing.client.post("/review", json=rating, headers=headers).json()
    assert (state["rated"], state["previous"]) == (1, item)
    again = reviewing.client.get("/review", params={"item_id": item}, headers=headers).json()
    own = again["item"]["rating"]
    assert (own["cannot_judge"], own["accuracy"], own["comment"]) == (True, None, "too dark")
    (row,) = [r.to_row() for r in reviewing.service.store.ratings() if r.comment == "too dark"]
    assert row["cannot_judge"]
    assert not set(AXES) & set(row)


def test_the_sample_is_random_and_the_same_for_all(run: Path) -> None:
    drawn = [Review([Run.open(run)], size) for size in (5, 5, 10, 10_000)]
    few, again, more, every = (set(one.items) for one in drawn)
    assert few == again < more < every
    first = [one.id for one in Run.open(run).predictions()][:5]
    assert {item.prediction for item in drawn[0].items.values()} != set(first)


def answered(folder: Path, *answers: dict[str, Any]) -> Run:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(RECIPE)
    rows = [{"id": str(n), "question": "what?", **one} for n, one in enumerate(answers)]
    append_lines(folder / "predictions.jsonl", rows)
    return Run.open(folder)


def test_concepts_are_reviewed_in_words_and_boxes_are_counted_not_dropped(tmp_path: Path) -> None:
    box = {"x": 1, "y": 1, "width": 2, "height": 2, "label": "mass"}
    named, marked = {"answer": {"concepts": ["C1", "C2"]}}, {"answer": {"boxes": [box]}}
    review = Review([answered(tmp_path / "both", named, marked)], 10)
    assert [item.answer for item in review.items.values()] == ["C1, C2"]
    assert review.sheet.left_out == 1
    with pytest.raises(RunError, match="2 answers have no words"):
        Review([answered(tmp_path / "boxes", marked, marked)], 10)


def test_references_and_another_run_are_shuffled_in_unmarked(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "recipe.yaml").write_text(RECIPE.replace("name: majority\ndata", "name: b\ndata"))
    rows = [row.to_row() | {"answer": "an answer"} for row in Run.open(run).predictions()]
    append_lines(other / "predictions.jsonl", rows)
    words = {"review": 5, "review_with": f"{other},references", "replay": None, "keys": "on"}
    with serving(tmp_path / "state", run=run, **words) as reviewing:
        headers = rater(reviewing)
        state = reviewing.client.get("/review", headers=headers).json()
        assert state["total"] == 15
        seen = []
        while state["item"]:
            assert set(state["item"]) == {"item_id", "question", "answer", "rating"}
            seen.append(state["item"]["item_id"])
            rating = {"item_id": seen[-1], **GRADES}
            state = reviewing.client.post("/review", json=rating, headers=headers).json()
        items = reviewing.service.review.items
        # Each question has three answers, in no order of systems.
        order = [items[name].review.split()[0] for name in seen]
        assert sorted(order) == sorted(["b", "majority", "references"] * 5)
        assert len({tuple(order[at : at + 3]) for at in range(0, 15, 3)}) > 1
        stored = list(reviewing.service.store.ratings())
        assert {one.review.split()[0] for one in stored} == {"b", "majority", "references"}


def test_settings_of_a_review_are_checked(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="only with review"):
        settings(run=tmp_path, review_with="references")


def test_where_nothing_is_up_for_review_it_says_so(api: Serving, tmp_path: Path) -> None:
    assert api.client.get("/review").json()["code"] == "not_found"
    assert api.client.get("/version").json()["policy"]["review"] is False
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    with pytest.raises(RunError, match="no answers to review"):
        Review([Run(tmp_path)], 9)
