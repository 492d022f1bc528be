"""A combined run says whether it helped: controls predicted beside it, scores, page, terminal."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vesalius import Recipe, Run, evaluate, fit, predict, report
from vesalius.cases.case import Answer
from vesalius.cases.prediction import MemberAnswer
from vesalius.cli.main import app
from vesalius.errors import ModelError, NotComparable, RunError, UnknownName
from vesalius.recipe import Retrieve
from vesalius.steps.controls import predict_control
from vesalius.steps.gain import gain, gain_of
from vesalius.system.files import append_lines

PATIENTS = 8
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight"]


def planted(folder: Path) -> Recipe:
    """Each patient has a picture in training and nearly the same in the test split, and a caption
    that no other patient has: only a look at the patient's own case can be right.
    """
    folder.mkdir()
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        rows = []
        for patient in range(PATIENTS):
            clouds = np.random.default_rng(patient).integers(0, 255, (6, 6), dtype=np.uint8)
            picture = np.array(Image.fromarray(clouds).resize((96, 96), Image.Resampling.BICUBIC))
            noise = random.integers(0, 6, picture.shape)
            name = f"{split}{patient}.png"
            Image.fromarray(np.clip(picture + noise, 0, 255).astype(np.uint8)).save(folder / name)
            caption = f"a finding of the kind number {WORDS[patient]} and no other"
            rows.append({"id": name, "image": name, "caption": caption, "group": f"P{patient}"})
        append_lines(folder / f"{split}.jsonl", rows)
    return Recipe.model_validate(
        {
            "name": "planted",
            "data": {
                "dataset": "folder",
                "root": str(folder),
                "task": "caption",
                "leaks": "allow",
                "splits": {"validation": None},
            },
            "model": {"name": "nearest", "neighbours": 3},
            "evaluation": {"metrics": ["squad"], "resamples": 200},
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("planted")
    run = fit(planted(folder / "data"), folder / "run")
    predict(run)
    for control in ("unguarded", "swapped"):
        assert predict_control(run, control) == PATIENTS
    return run


def test_a_planted_leak_is_gained_without_the_guard_and_not_with_it(run: Run) -> None:
    found = gain(run)
    assert found is not None
    by_kind = {c.kind: c.difference for c in found.contrasts if c.difference.metric == "squad.em"}
    # guarded, no caption can be right; unguarded, each is the patient's own
    assert (by_kind["unguarded"].first, by_kind["unguarded"].second) == (0, 1)
    assert by_kind["swapped"].difference == 0
    assert any("leakage: it scores more" in sentence for sentence in found.sentences())
    # "a finding of the kind", ... "number": 4-grams that the reference has, too; those with the
    # number's word are the neighbour's alone: 4 of 7
    assert found.copy is not None
    assert found.copy.value == pytest.approx(4 / 7)


def test_it_stands_in_scores_json_on_the_page_and_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evaluation = evaluate(run)
    assert evaluation.gain["primary"] == "squad.em"
    stored = json.loads(run.scores_file().read_text())["gain"]
    assert [c["outcome"] for c in stored["contrasts"] if c["kind"] == "unguarded"] == ["better"] * 2
    assert set(stored["inputs"]) == {"unguarded", "swapped"}
    page = report(run, out=tmp_path / "page.html", pictures=False).read_text()
    assert '<section id="gain">' in page
    assert "leakage: it scores more where cases of the same patient may come" in page
    assert "control-swapped" not in page.split('<section id="provenance">')[0]  # no changed picture
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["evaluate", str(run.path), "--by", ""])
    assert done.exit_code == 0, done.output
    assert "Did it help?" in done.output
    assert "leakage gain: guard of patients off minus on" in done.output


def test_it_is_computed_once_and_anew_where_a_control_is_another(run: Run) -> None:
    evaluate(run)
    before = run.scores_file().read_text()
    assert gain_of(run) is not None
    evaluate(run)
    assert run.scores_file().read_text() == before
    file = run.predictions_file("control-swapped")
    lines = file.read_text()
    file.write_text("".join(lines.splitlines(keepends=True)[:4]))
    found = gain_of(run)
    assert found is not None
    assert f"swapped: 4 of {PATIENTS} answers could be compared" in found.sentences()
    assert predict_control(run, "swapped") == PATIENTS  # a killed prediction goes on
    assert file.read_text() == lines


def test_a_stored_gain_that_cannot_be_read_is_computed_anew(run: Run) -> None:
    evaluate(run)
    stored = json.loads(run.scores_file().read_text())
    stored["gain"]["contrasts"] = [{"kind": "unguarded"}]
    run.scores_file().write_text(json.dumps(stored))
    found = gain_of(run)
    assert found is not None
    assert len(found.contrasts) == 4  # two scores under two controls


def test_a_run_without_neighbours_is_named(run: Run, tmp_path: Path) -> None:
    plain = tmp_path / "plain.jsonl"
    rows = [json.loads(line) for line in run.predictions_file().read_text().splitlines()]
    append_lines(plain, [row | {"answer": row["references"][0], "evidence": []} for row in rows])
    evaluation = evaluate(run, without=plain)
    assert "without" in evaluation.gain["inputs"]
    harm = next(h for h in evaluation.gain["harms"] if h["metric"] == "squad.em")
    assert (harm["harmed"]["value"], harm["saved"]["value"], harm["other"]) == (1, 0, "plain.jsonl")
    evaluate(run)  # without it again
    with pytest.raises(RunError, match="'control-swapped' is not held against"):
        evaluate(run, "control-swapped", without=plain)


def test_a_run_that_should_have_no_neighbours_and_has_some_is_told(run: Run) -> None:
    found = gain(run, without=run.path)
    assert found is not None
    (note,) = [note for note in found.notes if note.startswith("run was to have none")]
    assert f"{PATIENTS} of its {PATIENTS} answers have neighbours" in note


def test_cases_that_are_cited_beside_an_answer_are_no_neighbours(run: Run, tmp_path: Path) -> None:
    plain = shutil.copytree(run.path, tmp_path / "plain")
    recipe = run.recipe().model_copy(update={"retrieve": Retrieve()})
    (plain / "recipe.yaml").write_text(recipe.to_yaml(), "utf-8")
    found = gain(run, without=plain)
    assert found is not None
    assert not [note for note in found.notes if "was to have none" in note]


def test_refusals(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="control"):
        predict_control(run, "shuffled")
    with pytest.raises(RunError, match="no predictions"):
        gain(run, without=tmp_path / "nothing.jsonl")
    with pytest.raises(RunError, match="only a run"):
        evaluate(run.predictions_file(), without=run.path)
    recipe = planted(tmp_path / "data").model_copy(update={"model": {"name": "majority"}})
    plain = fit(recipe, tmp_path / "majority")
    predict(plain)
    with pytest.raises(ModelError, match="retrieves no cases"):
        predict_control(plain, "swapped")
    assert gain(plain) is None
    assert evaluate(plain).gain == {}


def test_the_command_answers_under_a_control(run: Run) -> None:
    arguments = ["predict", "--run", str(run.path), "--control", "swapped"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"{PATIENTS} answers in {run.predictions_file('control-swapped')}" in done.output


def test_a_run_with_neighbours_alone_tells_copies_and_what_is_missing(run: Run) -> None:
    recipe = run.recipe().model_copy(update={"name": "near"})
    near = Run.create(run.path.parent / "near", recipe)
    near.append(list(run.predictions()))
    near.finish()
    found = gain(near)
    assert found is not None
    assert found.contrasts == ()
    assert [note.split(":")[0] for note in found.notes] == [
        "unguarded neighbours",
        "swapped neighbours",
    ]
    assert "copy rate" in found.sentences()[0]
    bare = Run.create(run.path.parent / "bare", recipe.model_copy(update={"name": "bare"}))
    bare.append([replace(p, answer=Answer("ct")) for p in run.predictions()])
    bare.finish()
    short = gain(bare)  # too short to have copied anything, as answers to questions are
    assert short is not None
    assert short.copy is None
    assert short.notes[0].startswith("copy rate: not measured")
    assert short.notes[1:] == tuple(note.replace("/near", "/bare") for note in found.notes)
    cited = recipe.model_copy(update={"name": "cited", "retrieve": Retrieve()})
    beside = Run.create(run.path.parent / "cited", cited)
    beside.append(list(run.predictions()))
    beside.finish()
    only = gain(beside)  # cases beside an answer that were no part of it: no control is missing
    assert only is not None
    assert only.notes == ()


def test_members_that_cannot_be_held_against_it_leave_the_scores_alone(run: Run) -> None:
    recipe = run.recipe().model_copy(update={"name": "torn"})
    torn = Run.create(run.path.parent / "torn", recipe)
    rows = list(run.predictions())
    member = (MemberAnswer("near", rows[0].answer),)
    torn.append([replace(rows[0], evidence=member), replace(rows[1], evidence=())])
    torn.finish()
    evaluation = evaluate(torn)
    assert evaluation.score("squad.em").value == 0
    (note,) = evaluation.gain["notes"]
    assert "1 of 2 rows have no answer of the member near" in note
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["evaluate", str(torn.path)])
    assert done.exit_code == 0, done.output
    assert "- it cannot be told: id" in done.output
    with pytest.raises(NotComparable):
        evaluate(torn, without=run.predictions_file())
