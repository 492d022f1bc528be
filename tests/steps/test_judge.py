"""A judge on real requests: two turns, strict replies, resumed, warned of, and refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from judge_server import JudgeServer
from vesalius import Recipe, Run
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, NotComparable, RecipeError, RunError, Unavailable
from vesalius.evaluation.judging.judgements import Judgements
from vesalius.evaluation.judging.prompts import grading_words
from vesalius.evaluation.judging.results import results
from vesalius.evaluation.judging.rubric import rubric
from vesalius.steps.fit import fit
from vesalius.steps.judge import judge
from vesalius.steps.judges import Judge, Server, bases, judge_of
from vesalius.steps.predict import predict
from vesalius.system.files import write_json

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 4, "validation": 1, "test": 6}, "size": 40},
}


def fitted(path: Path, model: dict[str, Any], **more: Any) -> Run:
    recipe = {"name": path.name, "data": DATA, "model": model} | more
    return fit(Recipe.model_validate(recipe), path)


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    server = JudgeServer()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = fitted(tmp_path / "often", {"name": "majority"})
    predict(run)
    return run


@pytest.fixture
def by(server: JudgeServer, run: Run) -> Callable[..., Judge]:
    """by(model): the server's judge of that name."""
    return lambda model="grader", **how: judge_of(server.url, run, Server(model), **how)


def grades(judgements: Judgements) -> dict[str, int]:
    return {one.id: one.rating.axes["correctness"] for one in judgements.judgements()}


def expected(prediction: Prediction) -> int:
    """What the server's grader thinks of an answer: the same words, some of them, none."""
    wanted, answer = prediction.references[0].text.lower(), prediction.text.lower()
    return 2 if answer == wanted else int(bool(set(answer.split()) & set(wanted.split())))


def test_every_answer_is_graded_in_two_turns_with_its_picture(
    server: JudgeServer, run: Run, by: Callable[..., Judge]
) -> None:
    done = judge(run, by())
    rows = list(run.predictions())
    assert grades(done) == {row.id: expected(row) for row in rows}
    assert len(set(grades(done).values())) > 1
    assert {one.own for one in done.judgements()} == {"I would say a ct"}
    first = [body for body in server.seen if len(body["messages"]) == 1]
    second = [body for body in server.seen if len(body["messages"]) == 3]
    assert len(first) == len(second) == len(rows)
    assert {body["messages"][0]["content"][0]["type"] for body in server.seen} == {"image_url"}
    assert {body["messages"][1]["content"] for body in second} == {"I would say a ct"}
    assert not any("reference" in json.dumps(body["messages"]) for body in first)
    assert all(body["temperature"] == 0 for body in server.seen)
    assert {one.rating.rater for one in done.judgements()} == {"judge:grader"}
    assert done.identity["host"] == server.url.removeprefix("http://")
    assert (done.identity["rubric"], done.identity["pictures"]) == ("correctness", True)


def test_without_pictures_none_is_sent(
    server: JudgeServer, run: Run, by: Callable[..., Judge]
) -> None:
    done = judge(run, by(pictures=False), limit=2)
    assert done.identity["pictures"] is False
    parts = [part["type"] for body in server.seen for part in body["messages"][0]["content"]]
    assert set(parts) == {"text"}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("prose", "no JSON"),
        ("twins", "several objects"),
        ("beyond", "a value out of range"),
        ("unknown", "an unknown key"),
        ("missing", "a missing key"),
        ("twice", "a key twice"),
        ("long", "cut at the token limit"),
    ],
)
def test_replies_that_are_no_grade_are_not_measured(
    model: str, reason: str, run: Run, by: Callable[..., Judge]
) -> None:
    found = results(judge(run, by(model), limit=3), run.predictions())
    assert found.unmeasured == {reason: 3}
    assert [(score.n, score.value == 0) for score in found.scores] == [(0, False)]


def test_a_fence_around_the_object_is_taken_off(run: Run, by: Callable[..., Judge]) -> None:
    assert grades(judge(run, by("fenced"), limit=3)) == grades(judge(run, by(), limit=3))


@pytest.mark.parametrize("name", ["review", "error_tags", "severity"])
def test_the_other_rubrics(name: str, run: Run, by: Callable[..., Judge]) -> None:
    done = judge(run, by(), name)
    rows = {row.id: expected(row) for row in run.predictions()}
    for one in done.judgements():
        right = rows[one.id]
        assert one.unmeasured is None
        if name == "review":
            assert set(one.rating.axes.values()) == {(1, 3, 5)[right]}
        else:
            tags = (("hallucination",), ("omission",), ())[right]
            assert one.rating.errors == tags
        if name == "severity":  # urgent 1, actionable .5
            assert (one.rating.axes["severity"], one.weight) == ((4, 1), (3, 0.5), (0, 0))[right]


def test_a_judge_that_goes_away_is_one_line_and_nothing_is_lost(
    server: JudgeServer, run: Run, by: Callable[..., Judge]
) -> None:
    server.fails_after = 5
    with pytest.raises(Unavailable, match="HTTP 500") as caught:
        judge(run, by())
    assert "secret" not in str(caught.value)
    (there,) = Judgements.of(run)
    assert len(grades(there)) == 5
    kept = list(there.judgements())
    server.fails_after = None
    before = server.calls
    whole = judge(run, by())
    rows = list(run.predictions())
    assert grades(whole) == {row.id: expected(row) for row in rows}
    assert list(whole.judgements())[: len(kept)] == kept
    assert server.calls - before == len(rows) - len(kept)
    judge(run, by())
    assert server.calls - before == len(rows) - len(kept)  # nothing is asked twice


def test_a_server_that_is_not_there_or_not_allowed(run: Run, server: JudgeServer) -> None:
    with pytest.raises(Unavailable, match="is not there"):
        judge_of("http://127.0.0.1:9/v1", run, Server())
    with pytest.raises(RecipeError, match="another machine"):
        judge_of("http://example.org/v1", run, Server())
    with pytest.raises(RecipeError, match="no credentials in a URL"):
        judge_of("http://me:secret@127.0.0.1/v1", run, Server())
    with pytest.raises(ModelError, match="has no gpt"):
        judge_of(server.url, run, Server("gpt"))
    assert not (run.path / "judgements").exists()


def test_the_key_comes_from_the_environment(
    server: JudgeServer, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="NO_SUCH_KEY"):
        judge_of(server.url, run, Server("grader", key_env="NO_SUCH_KEY"))
    monkeypatch.setenv("JUDGE_KEY", "right")
    judge(run, judge_of(server.url, run, Server("grader", key_env="JUDGE_KEY")), limit=1)
    assert set(server.keys) == {"Bearer right"}
    monkeypatch.setenv("JUDGE_KEY", "wrong")
    with pytest.raises(ModelError, match="does not take our key"):
        judge_of(server.url, run, Server("grader", key_env="JUDGE_KEY"))


def test_a_slow_judge_is_waited_for(run: Run, by: Callable[..., Judge]) -> None:
    assert len(grades(judge(run, by("slow"), limit=2))) == 2


def test_pairs_are_judged_in_both_orders(
    tmp_path: Path, run: Run, by: Callable[..., Judge]
) -> None:
    other = fitted(tmp_path / "true", {"name": "majority"})
    rows = list(run.predictions())
    golds = [row.references[0].text for row in rows]
    told = zip(rows, golds, strict=True)
    other.append([Prediction.from_row(row.to_row() | {"answer": gold}) for row, gold in told])
    fair = {one.id: one for one in judge(run, by(), against=other).preferences()}
    for row in rows:
        right = expected(row) == 2
        assert fair[row.id].winner == ("tie" if right else "against")
        assert fair[row.id].position is None
    placed = results(judge(run, by("first"), against=other), rows)
    shares = {score.name: score.value for score in placed.scores}
    assert (shares["tie"], shares["order-dependent"]) == (1, 1)  # whoever stands first is preferred


def test_runs_on_other_cases_are_refused(
    tmp_path: Path, run: Run, by: Callable[..., Judge]
) -> None:
    other = fitted(tmp_path / "other", {"name": "majority"})
    rows = [row.to_row() for row in run.predictions()]
    other.append([Prediction.from_row(row | {"id": f"x{row['id']}"}) for row in rows])
    with pytest.raises(NotComparable, match="no id is shared"):
        judge(run, by(), against=other)
    other.predictions_file().unlink()
    other.append([Prediction.from_row(row | {"question": "something else?"}) for row in rows])
    with pytest.raises(NotComparable, match="other questions for it"):
        judge(run, by(), against=other)
    other.predictions_file().unlink()
    with pytest.raises(RunError, match="has no answers to judge"):
        judge(run, by(), against=other)


def test_a_run_that_judges_itself_is_warned_of(tmp_path: Path, run: Run) -> None:
    itself = judge_of(str(run.path), run, Server())
    done = judge(run, itself, limit=2)
    words = results(done, run.predictions()).warnings
    assert any("is the model that it judges" in one for one in words)
    twin = fitted(tmp_path / "again", {"name": "majority"}, description="the same")
    assert "is of the recipe" in str(judge_of(str(twin.path), run, Server()).kinship(run))
    unlike = saved(tmp_path / "unlike", run)
    assert judge_of(str(unlike.path), run, Server()).kinship(run) is None


def test_the_same_base_or_server_s_model_is_warned_of(
    tmp_path: Path, server: JudgeServer, run: Run, by: Callable[..., Judge]
) -> None:
    far = fitted(tmp_path / "far", {"name": "endpoint", "base_url": server.url, "model": "grader"})
    assert "rests on grader" in str(by("grader").kinship(far))
    assert by("first").kinship(far) is None
    assert by("grader").kinship(run) is None


def saved(folder: Path, run: Run, exchanges: Judgements | None = None) -> Run:
    """A run that replays the answers of a run, or a judge's exchanges about them."""
    rows = [row.to_row() for row in run.predictions()]
    if exchanges is not None:
        asked = {row.id: row for row in run.predictions()}
        rows = []
        for one in exchanges.judgements():
            row = asked[one.id]
            words = grading_words(row, rubric("correctness"))
            rows += [
                {"id": row.id, "question": row.question, "answer": one.own},
                {"id": f"{row.id}#grade", "question": words, "answer": one.reply},
            ]
    path = folder.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return fitted(folder, {"name": "replay", "predictions": str(path)})


def test_a_judge_s_exchanges_are_a_judge_again(
    tmp_path: Path, run: Run, by: Callable[..., Judge]
) -> None:
    done = judge(run, by())
    again = saved(tmp_path / "again", run, done)
    replayed = judge(run, judge_of(str(again.path), run, Server()))
    assert grades(replayed) == grades(done)
    assert replayed.name == "again-correctness"


def test_a_judge_that_needs_pictures_may_not_be_kept_from_them(tmp_path: Path, run: Run) -> None:
    one = saved(tmp_path / "same", run)
    with pytest.raises(ModelError, match="answers from pictures alone"):
        judge_of(str(one.path), run, Server(), pictures=False)


def test_weights_are_known_by_their_name_and_not_by_what_trains(tmp_path: Path) -> None:
    def begun(run: str, **model: Any) -> Run:
        recipe = {"name": run, "data": DATA, "model": model}
        return Run.create(tmp_path / run, Recipe.model_validate(recipe))

    frozen = {"roles": {"language": "frozen"}}
    assert bases(begun("text", name="text", weights="smollm2", **frozen)) == {"smollm2"}
    assert bases(begun("composed", name="composed", preset="smol")) == {"smollm2"}
    assert bases(begun("other", name="text", weights="org/other", **frozen)) == {"org/other"}
    drawn = begun("nano", name="composed", preset="nano")
    drawn.note(weights="random")
    assert bases(drawn) == frozenset()


def test_names_of_judgements_stay_in_their_folder(run: Run, by: Callable[..., Judge]) -> None:
    for name in ("../out", "a/b", "x.experts", ".hidden"):
        with pytest.raises(RunError, match="cannot be called"):
            judge(run, by(), limit=1, name=name)


def test_a_pair_with_an_answer_of_boxes_is_not_measured(
    tmp_path: Path, run: Run, by: Callable[..., Judge]
) -> None:
    other = fitted(tmp_path / "boxes", {"name": "majority"})
    rows = [row.to_row() for row in run.predictions()]
    other.append([Prediction.from_row(row | {"answer": {"boxes": []}}) for row in rows])
    found = results(judge(run, by(), against=other, limit=3), run.predictions())
    assert found.unmeasured == {"no answer in words": 3}


def test_a_recipe_is_fitted_beside_the_judgements_and_says_that_its_weights_are_random(
    tmp_path: Path, run: Run
) -> None:
    recipe = tmp_path / "tiny.yaml"
    write_json(
        recipe,
        {
            "name": "tiny-judge",
            "data": DATA,
            "model": {"name": "text", "tiny": True, "kind": "causal",
                      "training": {"epochs": 1, "batch": 4}, "max_length": 2048},
            "decoding": {"max_new_tokens": 4, "batch": 4},
        },
    )  # fmt: skip
    by = judge_of(str(recipe), run, Server())
    done = judge(run, by, limit=2)
    found = results(done, run.predictions())
    assert sum(found.unmeasured.values()) == 2  # random weights write no JSON
    assert (done.identity["random_weights"], done.identity["pictures"]) == (True, False)
    assert (run.path / "judgements" / "tiny-judge" / "recipe.yaml").exists()
    assert [one.name for one in Judgements.of(run)] == ["tiny-judge-correctness"]
    assert judge_of(str(recipe), run, Server()).facts == by.facts


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (("nowhere", Server()), "is no run's folder, recipe"),
        (("{run}", Server(model="x")), "go with a URL"),
        (("{folder}", Server()), "is not a run"),
    ],
)
def test_what_is_no_judge_is_refused(
    how: tuple[str, Server], message: str, run: Run, tmp_path: Path
) -> None:
    by, server = how
    with pytest.raises(RunError, match=message):
        judge_of(by.format(run=run.path, folder=tmp_path), run, server)


def test_other_answers_or_another_rubric_under_one_name_are_refused(
    run: Run, by: Callable[..., Judge]
) -> None:
    judge(run, by(), limit=2, name="mine")
    with pytest.raises(RunError, match="'mine' differ in axes, rubric, rubric_digest"):
        judge(run, by(), "review", limit=2, name="mine")
    run.append([Prediction.from_row({"id": "new", "answer": "ct"})])
    with pytest.raises(RunError, match="'mine' differ in answers"):
        judge(run, by(), limit=2, name="mine")


def test_answers_without_words_or_reference_are_not_measured(
    run: Run, by: Callable[..., Judge], server: JudgeServer
) -> None:
    rows = [row.to_row() for row in run.predictions()][:3]
    del rows[0]["references"]
    rows[1] |= {"answer": {"boxes": []}}
    rows[2] |= {"answer": ""}
    run.predictions_file().unlink()
    run.append([Prediction.from_row(row) for row in rows])
    found = results(judge(run, by()), run.predictions())
    assert found.unmeasured == {"no reference in words": 1, "no answer in words": 1}
    assert found.scores[0].n == 1  # an empty answer is an answer: wrong
    assert server.calls == 1


def test_a_case_that_the_data_set_lost_is_named(run: Run, by: Callable[..., Judge]) -> None:
    rows = [row.to_row() for row in run.predictions()]
    run.predictions_file().unlink()
    run.append([Prediction.from_row(rows[0] | {"id": "gone/1"})])
    with pytest.raises(RunError, match=r"'gone/1'.*--no-pictures"):
        judge(run, by())
    assert len(grades(judge(run, by(pictures=False), name="blind"))) == 1


def test_an_id_twice_is_refused(run: Run, by: Callable[..., Judge]) -> None:
    run.append([next(iter(run.predictions()))])
    with pytest.raises(RunError, match="appears 2 times"):
        judge(run, by())
