"""A member is a run, fitted below the wrapper's or finished elsewhere; folds; what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vesalius import Recipe, Run
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.models import models
from vesalius.run import read_predictions
from vesalius.steps import folds
from vesalius.steps.check import check
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.members import digest, member_runs
from vesalius.steps.plan import plan
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues
from vesalius.steps.tiny import tiny

DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 10, "validation": 2, "test": 3}, "size": 32},
}
OFTEN = {"name": "majority"}
CONSENSUS = {"name": "consensus", "members": {"one": OFTEN, "two": OFTEN}}


def recipe(model: dict[str, Any], **more: Any) -> Recipe:
    content = {"name": "whole", "data": DATA, "model": model, "evaluation": {"resamples": 0}}
    return Recipe.model_validate(content | more)


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    return fit(recipe(OFTEN), tmp_path / "finished")


@pytest.fixture
def stacker(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(models._own, "stacker", "stacking:Stacker")
    monkeypatch.delitem(vars(models), "_targets", raising=False)
    return {"name": "stacker", "members": {"one": OFTEN}}


def test_members_are_runs_of_their_own_below_the_wrappers(tmp_path: Path) -> None:
    run = fit(recipe(CONSENSUS), tmp_path / "run")
    folders = sorted(p.name for p in (run.path / "members").iterdir())
    assert folders == ["one", "two"]
    inner = Run.open(run.path / "members" / "one")
    assert inner.fitted
    assert inner.recipe().name == "whole-one"
    assert inner.recipe().data == run.recipe().data
    assert predict(inner, limit=2) == 2  # a whole run: it predicts by itself
    assert load(inner).predict([], run.recipe().decoding) == []


def test_what_a_member_says_otherwise_is_its_own(tmp_path: Path) -> None:
    members = {"one": {"model": OFTEN, "seed": 5, "decoding": {"batch": 2}}, "two": OFTEN}
    run = fit(recipe({"name": "consensus", "members": members}), tmp_path / "run")
    one = Run.open(run.path / "members" / "one").recipe()
    assert (one.seed, one.decoding.batch, one.decoding.seed) == (5, 2, 0)
    assert run.recipe().members()["one"] == one


def test_wrappers_nest(tmp_path: Path) -> None:
    members = {"both": CONSENSUS, "three": OFTEN}
    run = fit(recipe({"name": "consensus", "members": members}), tmp_path / "run")
    assert (run.path / "members" / "both" / "members" / "two" / "recipe.yaml").exists()
    predict(run)
    rows = list(run.predictions())
    assert [one.member for one in rows[0].member_answers] == ["both", "three"]


def test_a_killed_fit_goes_on_member_by_member(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vesalius.models.majority import Majority

    whole, path, fits = Majority.fit, tmp_path / "run", list[str]()

    def dies(self: Majority, lesson: Any, run: Run) -> None:
        if run.name == "two" and "two" not in fits:
            fits.append("two")
            raise KeyboardInterrupt
        fits.append(f"{run.name} fitted")
        whole(self, lesson, run)

    monkeypatch.setattr(Majority, "fit", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe(CONSENSUS), path)
    assert not Run.open(path).fitted
    assert fit(recipe(CONSENSUS), path).fitted
    assert fits == ["one fitted", "two", "two fitted"]


def test_a_finished_run_is_a_member_by_its_path(tmp_path: Path, finished: Run) -> None:
    members = {"here": OFTEN, "there": {"run": finished.path.as_posix()}}
    run = fit(recipe({"name": "consensus", "members": members}), tmp_path / "run")
    assert [p.name for p in (run.path / "members").iterdir()] == ["here"]
    noted = run.status()["members"]["there"]
    assert noted == {"run": finished.path.as_posix(), "digest": digest(finished)}
    assert member_runs(run)["there"] == finished
    assert predict(run, limit=3) == 3


def test_a_finished_run_that_changed_is_refused(tmp_path: Path, finished: Run) -> None:
    members = {"here": OFTEN, "there": {"run": finished.path.as_posix()}}
    run = fit(recipe({"name": "consensus", "members": members}), tmp_path / "run")
    file = finished.weights / "majority.json"
    file.write_text(file.read_text().replace("yes", "no"))
    with pytest.raises(RunError, match=r"members\.there: .*not the run that this one was fitted"):
        load(run)
    with pytest.raises(RunError, match="not the run this fit began with"):
        fit(recipe({"name": "consensus", "members": members}), run.path)


def test_recipes_without_members_or_folds_keep_their_digest() -> None:
    assert recipe(OFTEN).digest() == "f3d1c52680771d3d"


def test_folds_deal_whole_groups_evenly(tmp_path: Path) -> None:
    train = list(dialogues(recipe(OFTEN).data, "train"))
    dealt = folds.deal(train, 3, seed=1)
    assert set(dealt) == {dialogue.group for dialogue in train}
    assert set(dealt.values()) == {0, 1, 2}
    assert dealt == folds.deal(train[::-1], 3, seed=1)  # the order of reading does not count
    assert dealt != folds.deal(train, 3, seed=2)
    most = max(sum(d.group == g for d in train) for g in dealt)
    filled = [sum(dealt[d.group] == fold for d in train) for fold in range(3)]
    assert max(filled) - min(filled) <= most


def test_members_answer_the_training_split_out_of_fold(
    tmp_path: Path, stacker: dict[str, Any]
) -> None:
    run = fit(recipe(stacker, folds=3), tmp_path / "run")
    folder = run.path / "members" / "one" / "folds"
    answers = list(read_predictions(folder / "predictions.jsonl"))
    train = list(dialogues(run.recipe().data, "train"))
    assert sorted(one.id for one in answers) == sorted(dialogue.id for dialogue in train)
    # Each by the model that was fitted without its group.
    dealt = folds.deal(train, 3, run.recipe().seed)
    by_id = {one.id: one for one in answers}
    for fold in range(3):
        held_out = [d for d in train if dealt[d.group] == fold]
        part = Run.open(folder / str(fold))
        assert part.status()["data"]["train"]["dialogues"] == len(train) - len(held_out)
        expected = load(part).predict(held_out, run.recipe().decoding)
        assert [by_id[one.id].text for one in expected] == [one.text for one in expected]
    assert json.loads((run.weights / "right.json").read_text())["one"] > 0
    assert predict(run, limit=3) == 3


def test_under_a_wrapper_that_learns_a_finished_run_is_fitted_again_in_folds(
    tmp_path: Path, stacker: dict[str, Any], finished: Run
) -> None:
    stacker["members"] = {"there": {"run": finished.path.as_posix()}}
    run = fit(recipe(stacker, folds=2), tmp_path / "run")
    assert sorted(p.name for p in (run.path / "members" / "there" / "folds").iterdir()) == [
        "0",
        "1",
        "predictions.jsonl",
    ]
    assert load(run).predict([], run.recipe().decoding) == []


@pytest.mark.slow
def test_out_of_fold_answers_go_on_after_a_kill(
    tmp_path: Path, stacker: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    whole = fit(recipe(stacker, folds=2), tmp_path / "other")
    monkeypatch.setattr(folds, "CHUNK", 1)
    append, written = folds.append_lines, []

    def dies(*arguments: Any) -> None:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments)
        append(*arguments)

    monkeypatch.setattr(folds, "append_lines", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(recipe(stacker, folds=2), path)
    monkeypatch.setattr(folds, "append_lines", append)
    again = fit(recipe(stacker, folds=2), path)
    name = "members/one/folds/predictions.jsonl"
    assert list(read_predictions(again.path / name)) == list(read_predictions(whole.path / name))


def test_the_plan_descends_into_members_and_counts_their_fits() -> None:
    planned = plan(recipe(CONSENSUS, folds=3))
    assert planned["members"]["one"]["fits"] == 4
    assert planned["members"]["one"]["dialogues"] == planned["dialogues"]


def test_an_export_stands_alone_and_answers_alike(tmp_path: Path, finished: Run) -> None:
    members = {"here": OFTEN, "there": {"run": finished.path.as_posix()}}
    run = fit(recipe({"name": "consensus", "members": members}, folds=2), tmp_path / "run")
    predict(run)
    done = export(run, tmp_path / "export", check=8)
    assert done.checked == 8
    assert "here, there: 8 of 8 answers equal" in done.summary
    shutil.rmtree(run.path)
    shutil.rmtree(finished.path)
    alone = Run.open(tmp_path / "export")
    assert sorted(p.name for p in (alone.path / "members").iterdir()) == ["here", "there"]
    assert not list(alone.path.rglob("folds"))
    assert predict(alone, limit=3) == 3
    assert "Research use only" in (alone.path / "README.md").read_text()


def test_the_tiny_form_descends_into_members(finished: Run) -> None:
    nano = {"name": "composed", "preset": "nano", "training": {"epochs": 9}}
    members = {"nano": nano, "far": {"run": finished.path.as_posix()}, "own": {"model": nano}}
    small = tiny(recipe({"name": "consensus", "members": members}))
    blocks = small.model["members"]
    assert blocks["far"]["model"] == {"name": "majority"}
    assert blocks["far"]["data"]["task"] == "vqa"
    assert blocks["nano"]["training"]["max_steps"] == 4
    assert blocks["own"]["model"] == blocks["nano"]


def refusals(tmp_path: Path, finished: Run) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    there = {"run": finished.path.as_posix()}
    unfitted = Run.create(tmp_path / "unfitted", recipe(OFTEN))
    fewer = DATA | {"options": {"cases": {"train": 8, "validation": 2, "test": 3}, "size": 32}}
    other = fit(recipe(OFTEN, data=fewer), tmp_path / "other")
    caption = fit(recipe(OFTEN, data=DATA | {"task": "caption"}), tmp_path / "caption")

    def both(block: Any) -> dict[str, Any]:
        return {"name": "consensus", "members": {"a": OFTEN, "b": block}}

    return [
        (both({"run": "nowhere"}), {}, r"members\.b: .*no finished run: nowhere"),
        (both({"run": unfitted.path.as_posix()}), {}, r"members\.b: .*not fitted to the end"),
        (both({"run": caption.path.as_posix()}), {}, r"members\.b: the member's task is caption"),
        (both({"model": OFTEN, "data": {"task": "caption"}}), {}, r"members\.b: .*task is caption"),
        (both({"run": other.path.as_posix()}), {}, r"members\.b: .*fitted on other data"),
        (both({"run": there["run"], "seed": 1}), {}, r"members\.b: .*seed"),
        (both({"model": OFTEN, "colour": 1}), {}, r"members\.b: is no member"),
        (both("nearest"), {}, r"members\.b: must be a block"),
        (both({"name": "majorty"}), {}, "did you mean majority"),
        ({"name": "consensus"}, {}, "consensus needs at least 2 members, not 0"),
        ({"name": "consensus", "members": {}}, {}, "at least 2 members, not 0"),
        ({"name": "evidence", "members": {"a": OFTEN, "b": OFTEN}}, {}, "1 to 1 members, not 2"),
        ({"name": "majority", "members": {"a": OFTEN}}, {}, "majority wraps no members"),
        ({"name": "consensus", "members": {"../a": OFTEN, "b": OFTEN}}, {}, "a member's name has"),
        (CONSENSUS, {"folds": 99}, "fewer than 99 folds"),
        (OFTEN, {"folds": 2}, "wraps no members to fit in folds"),
        (CONSENSUS, {"stages": [{"name": "a"}]}, "no stages of its own"),
    ]


def test_what_cannot_be_is_one_line_before_anything_is_made(tmp_path: Path, finished: Run) -> None:
    for number, (model, more, words) in enumerate(refusals(tmp_path, finished)):
        path = tmp_path / f"run-{number}"
        with pytest.raises((RecipeError, RunError, UnknownName), match=words) as caught:
            fit(recipe(model, **more), path)
        assert "\n" not in str(caught.value)
        assert not path.exists()


def test_in_fold_answers_are_no_lesson(tmp_path: Path, stacker: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"out of fold.*folds: 5"):
        check(recipe(stacker), tmp_path / "run")


def test_saved_answers_cannot_be_fitted_in_folds(tmp_path: Path, stacker: dict[str, Any]) -> None:
    file = tmp_path / "saved.jsonl"
    file.write_text('{"id": "a", "answer": "b"}\n')
    stacker["members"] = {"old": {"name": "replay", "predictions": str(file)}}
    with pytest.raises(RecipeError, match=r"members\.old: replay cannot be fitted in folds"):
        check(recipe(stacker, folds=2), tmp_path / "run")


def test_a_circle_of_runs_is_refused(tmp_path: Path, finished: Run) -> None:
    path = tmp_path / "run"
    members = {"here": OFTEN, "there": {"run": finished.path.as_posix()}}
    run = fit(recipe({"name": "consensus", "members": members}), path)
    shutil.rmtree(finished.path)
    finished.path.symlink_to(run.path, target_is_directory=True)
    with pytest.raises((RunError, RecipeError), match="member of itself"):
        load(run)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        "name: two\ndata: {dataset: phantom}\nmodel:\n  name: consensus\n  members:\n"
        "    a: {name: majority}\n    a: {name: nearest}\n"
    )
    with pytest.raises(RecipeError, match=r"line 7: the key 'a' stands twice"):
        Recipe.read(file)


def test_a_fold_that_leaks_is_refused_by_name(tmp_path: Path, stacker: dict[str, Any]) -> None:
    train = list(dialogues(recipe(OFTEN).data, "train"))
    picture = train[0].pictures[0].key
    again = next(one for one in train if one.group != train[0].group)
    twin = replace(again, turns=tuple(replace(t, pictures=train[0].pictures) for t in again.turns))
    bare = replace(train[0], turns=tuple(replace(turn, pictures=()) for turn in train[0].turns))
    with pytest.raises(RecipeError, match=rf"a fold leaks: {twin.id} .* picture {picture} is held"):
        folds.require_apart([twin], [train[0]], "model.members.a")
    with pytest.raises(RecipeError, match=r"model.members.a.*its case is held out"):
        folds.require_apart([bare], [train[0]], "model.members.a")
    folds.require_apart([again], [train[0]], "model.members.a")
    # What a fold of a run trains on, and what it is to answer, are held against each other.
    patched = [*train, replace(twin, id="twin", case="twin")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vesalius.steps.ready._read", lambda data: (patched, []))
        with pytest.raises(RecipeError, match="a fold leaks"):
            fit(recipe(stacker, folds=2), tmp_path / "run")
    assert not (tmp_path / "run").exists()
