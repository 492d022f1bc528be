"""Leading a review: disputes with no names, final words beside the ratings, packages and tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Serving, serving
from typer.testing import CliRunner

from vesalius.cases.rating import AXES
from vesalius.cli.main import app
from vesalius.evaluation.raters import adjudication_list
from vesalius.evaluation.rating_files import read_ratings
from vesalius.run import Run
from vesalius.steps.review import PAGE, TABLE, review_package

RECIPE = """
name: majority
data: {dataset: phantom, options: {cases: {train: 16, validation: 4, test: 4}}}
model: {name: majority}
"""
GRADES = dict.fromkeys(AXES, 4)
SIZE = 4


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


@pytest.fixture
def reviewing(run: Path, tmp_path: Path) -> Iterator[Serving]:
    options = {"run": run, "review": SIZE, "replay": None, "keys": "on", "review_leads": "lead"}
    options |= {"review_with": "references", "rate_per_minute": 100_000}
    with serving(tmp_path / "state", **options) as running:
        yield running


def key(api: Serving, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.service.store.create_key(name)[1]}"}


def rate(api: Serving, headers: dict[str, str], item: str, **fields: Any) -> None:
    rating = {"item_id": item, **GRADES, **fields}
    assert api.client.post("/review", json=rating, headers=headers).status_code == 201


def table(api: Serving, headers: dict[str, str]) -> list[dict[str, str]]:
    given = api.client.get("/review/package", params={"part": "table"}, headers=headers)
    assert given.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(given.text)))


def send(api: Serving, headers: dict[str, str], rows: list[dict[str, Any]]) -> Any:
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
    as_csv = headers | {"Content-Type": "text/csv; charset=utf-8"}
    return api.client.post("/review/table", content=file.getvalue().encode(), headers=as_csv)


def test_who_does_not_lead_sees_nothing_of_it(reviewing: Serving) -> None:
    rater = key(reviewing, "rater")
    client = reviewing.client
    assert client.get("/review", headers=rater).json()["disputed"] is None
    item = next(iter(reviewing.service.review.items))
    answers = [
        client.get("/review/adjudication", headers=rater),
        client.post("/review/adjudication", json={"item_id": item, **GRADES}, headers=rater),
        client.get("/review/package", headers=rater),
        send(reviewing, rater, [{"id": item}]),
    ]
    assert [one.json()["code"] for one in answers] == ["forbidden"] * 4


def test_a_dispute_is_ended_beside_the_ratings(reviewing: Serving, tmp_path: Path) -> None:
    lead, one, two = (key(reviewing, name) for name in ("lead", "one", "two"))
    client, (near, far, rated, *_) = reviewing.client, list(reviewing.service.review.items)
    for item, grade in ((near, 2), (far, 1), (rated, 1)):
        rate(reviewing, one, item, accuracy=grade, errors=["side"], comment="left is right")
        rate(reviewing, two, item)
    rate(reviewing, lead, rated, accuracy=3)  # a party to it: not asked
    state = client.get("/review/adjudication", headers=lead).json()
    assert (state["open"], state["done"]) == (2, 0)
    item = state["item"]
    assert set(item) == {"item_id", "question", "answer", "rating", "ratings"}
    assert item["item_id"] == far  # the widest first
    assert sorted(r["accuracy"] for r in item["ratings"]) == [1, 4]
    assert {r["comment"] for r in item["ratings"]} == {"left is right", None}
    assert "own_" not in json.dumps(state)
    assert client.get("/review", headers=lead).json()["disputed"] == 2
    final = {"item_id": far, **GRADES, "accuracy": 2}
    answer = client.post("/review/adjudication", json=final, headers=lead)
    assert answer.status_code == 201
    assert (answer.json()["open"], answer.json()["done"]) == (1, 1)
    assert answer.json()["item"]["item_id"] == near
    again = client.get("/review/adjudication", params={"item_id": far}, headers=lead).json()
    assert again["item"]["rating"]["accuracy"] == 2
    for item_id in (rated, "itm_0"):
        wrong = client.post("/review/adjudication", json=final | {"item_id": item_id}, headers=lead)
        assert (wrong.status_code, wrong.json()["code"]) == (404, "not_found")
    half = client.post("/review/adjudication", json={"item_id": near}, headers=lead)
    assert half.json()["code"] == "invalid_request"
    sees = client.post("/review", json=final, headers=lead)
    assert (sees.status_code, sees.json()["code"]) == (409, "already_rated")

    state = str(reviewing.service.settings.state)
    plain = CliRunner().invoke(app, ["ratings", "--state", state])
    assert "left out: 1 final words" in plain.stderr
    both = CliRunner().invoke(app, ["ratings", "--state", state, "--adjudicated"])
    file = tmp_path / "ratings.jsonl"
    file.write_text(both.stdout)
    ratings = read_ratings(file)
    assert [r.adjudication for r in ratings] == [False] * 7 + [True]
    # The page's list is the one of agree.
    assert {row["id"] for row in adjudication_list(ratings)} == {
        reviewing.service.review.items[name].prediction for name in (near, rated)
    }


def test_the_package_is_the_one_of_the_command(
    reviewing: Serving, run: Path, tmp_path: Path
) -> None:
    lead = key(reviewing, "lead")
    page = reviewing.client.get("/review/package", headers=lead)
    assert page.headers["content-disposition"] == 'attachment; filename="review.html"'
    review_package([Run.open(run)], SIZE, tmp_path / "out", references=True)
    assert page.text == (tmp_path / "out" / PAGE).read_text()
    empty = reviewing.client.get("/review/package", params={"part": "table"}, headers=lead)
    assert empty.content == (tmp_path / "out" / TABLE).read_bytes()


def test_a_filled_table_is_taken_in_once_and_whole(reviewing: Serving) -> None:
    lead = key(reviewing, "lead")
    rows = table(reviewing, lead)
    for row in rows[:-1]:
        row.update({"rater": "Ana Poe", "errors": "side; number"} | dict.fromkeys(AXES, "3"))
    wrong = [
        (rows[0] | {"accuracy": "9"}, "line 2: not a rating row: accuracy is 1 to 5"),
        (rows[1] | {}, "line 3: a second rating of the same answer"),
        (rows[0] | {"id": "itm_0"}, "line 2: there is no such answer"),
    ]
    for first, message in wrong:
        answer = send(reviewing, lead, [first, *rows[1:]])
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert message in answer.json()["detail"]
    columns = [{k: v for k, v in row.items() if k != "clarity"} for row in rows]
    assert "no clarity" in send(reviewing, lead, columns).json()["detail"]
    other = reviewing.client.post("/review/table", json={}, headers=lead)
    assert other.json()["code"] == "unsupported_body"
    assert list(reviewing.service.store.ratings()) == []  # nothing of any of them

    taken = send(reviewing, lead, rows)
    assert taken.status_code == 201
    assert taken.json() == {"raters": 1, "ratings": 2 * SIZE - 1, "empty": 1}
    stored = list(reviewing.service.store.ratings())
    assert len(stored) == 2 * SIZE - 1
    assert {one.errors for one in stored} == {("side", "number")}
    assert all(one.rater.startswith("own_") for one in stored)
    items = reviewing.service.review.items
    assert {(one.review, one.prediction) for one in stored} <= {
        (one.review, one.prediction) for one in items.values()
    }
    again = send(reviewing, lead, rows)
    assert (again.status_code, again.json()["code"]) == (409, "already_rated")
    assert len(list(reviewing.service.store.ratings())) == 2 * SIZE - 1
    # What came by table and what by page is disputed like any two raters'.
    rate(reviewing, key(reviewing, "one"), rows[0]["id"], accuracy=5)
    assert reviewing.client.get("/review", headers=lead).json()["disputed"] == 1


def test_on_this_machine_alone_whoever_is_at_it_leads(run: Path, tmp_path: Path) -> None:
    with serving(tmp_path / "state", run=run, review=SIZE, replay=None) as reviewing:
        assert reviewing.client.get("/review").json()["disputed"] == 0
        assert reviewing.client.get("/review/adjudication").json()["item"] is None


def test_a_person_behind_the_page_leads_and_its_key_does_not(run: Path, tmp_path: Path) -> None:
    options = {
        "run": run,
        "review": SIZE,
        "replay": None,
        "keys": "on",
        "review_leads": "a@x.org",
    }
    with serving(tmp_path / "state", **options) as reviewing:
        secret = reviewing.service.store.create_key("page", may_act_for_others=True)[1]
        page = {"Authorization": f"Bearer {secret}"}
        for person, leads in (("a@x.org", True), ("b@x.org", False)):
            headers = page | {"X-Vesalius-User": person}
            state = reviewing.client.get("/review", headers=headers).json()
            assert (state["disputed"] is not None) is leads
