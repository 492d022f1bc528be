"""The verdict travels: noted by fit and evaluate, told by caveats and cards, stale ones as such."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from planted_faults import planted
from vesalius.data.open import open_dataset
from vesalius.data.survey.verdict import by_rule, measured
from vesalius.evaluation.caveats import of_audit
from vesalius.recipe import Recipe
from vesalius.run import Run
from vesalius.steps.audit import audit
from vesalius.steps.evaluate import evaluate
from vesalius.steps.export_card import model_card
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.verdicts import note_verdict, place_of, store_verdict


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path):
    planted(tmp_path / "set", cases=36, faults=False, flips=0)
    return tmp_path / "set"


def recipe(root, **data):
    block = {"dataset": "folder", "root": str(root), "splits": {"validation": None}, **data}
    return Recipe.model_validate(
        {"name": "mine", "model": {"name": "majority"}, "data": block,
         "evaluation": {"resamples": 20}}
    )  # fmt: skip


def judge(root):
    verdict = audit(open_dataset("folder", root), "set", text_sample=0).verdict
    store_verdict(verdict, place_of("folder", root, None))
    return verdict


def test_a_fit_notes_the_verdict_and_all_that_follows_tells_it(root, tmp_path):
    verdict = judge(root)
    run = fit(recipe(root), tmp_path / "run")
    note = run.status()["audit"]
    assert note["current"]
    assert note["state"] == verdict.state
    assert note["faults"] == [one.rule.title for one in verdict.of("fault")] != []
    predict(run)
    evaluate(run, resamples=0)
    told = of_audit(run.status())
    assert told.startswith(f"Audit of the data, {verdict.date[:10]} ({note['sha256'][:12]}): ")
    assert "faults: Questions that are always answered alike" in told
    assert told in model_card(run, "", merged=False)


def test_without_an_audit_it_says_so(root, tmp_path):
    run = fit(recipe(root), tmp_path / "run")
    assert "audit" not in run.status()
    assert of_audit(run.status()).startswith("The data were not audited (vesalius data audit")
    assert "The data were not audited" in model_card(run, "", merged=False)


def test_an_audit_that_was_made_after_the_fit_is_noted_when_it_is_evaluated(root, tmp_path):
    run = fit(recipe(root), tmp_path / "run")
    judge(root)
    predict(run)
    evaluate(run, resamples=0)
    assert run.status()["audit"]["current"]


def test_a_changed_set_makes_its_audit_stale(root, tmp_path):
    judge(root)
    rows = (root / "test.jsonl").read_text().splitlines()
    first = json.loads(rows[0]) | {"answer": "knee"}
    (root / "test.jsonl").write_text("\n".join([json.dumps(first), *rows[1:]]) + "\n")
    run = fit(recipe(root), tmp_path / "run")
    assert not run.status()["audit"]["current"]
    assert of_audit(run.status()).startswith("The data were not audited as they are: the audit of")
    judge(root)
    note_verdict(run)
    assert run.status()["audit"]["current"]


def test_a_changed_picture_makes_it_stale_too(root, tmp_path):
    judge(root)
    path = root / "images" / "test-000.png"
    path.write_bytes((root / "images" / "train-000.png").read_bytes())
    run = fit(recipe(root, leaks="allow"), tmp_path / "run")
    assert not run.status()["audit"]["current"]


def test_a_part_of_the_data_is_not_the_whole_that_was_audited(root, tmp_path):
    judge(root)
    run = fit(recipe(root, limit={"train": 5}), tmp_path / "run")
    assert not run.status()["audit"]["current"]


def test_a_set_elsewhere_is_another_set(root, tmp_path):
    planted(tmp_path / "other", cases=33, faults=False)
    judge(tmp_path / "other")
    assert "audit" not in fit(recipe(root), tmp_path / "run").status()


def test_what_was_noted_stays_where_verdicts_are_gone(root, tmp_path, cache):
    judge(root)
    run = fit(recipe(root), tmp_path / "run")
    before = run.status()["audit"]
    for path in (cache / "audits").iterdir():
        path.unlink()
    note_verdict(run)
    assert run.status()["audit"] == before


def test_the_newest_verdict_on_the_same_data_counts(root, tmp_path):
    first = judge(root)
    later = replace(
        first, date="2999-01-01T00:00:00+00:00", results=by_rule([measured("priors", 0.0, "")])
    )
    store_verdict(later, "elsewhere")
    assert fit(recipe(root), tmp_path / "run").status()["audit"]["state"] == "sound"


def test_of_a_mix_each_set_has_its_own_verdict(root, tmp_path):
    other = tmp_path / "other"
    planted(other, cases=33, faults=False)
    judge(root)
    mix = [{"dataset": "folder", "name": "second", "root": str(other)}]
    run = fit(recipe(root, mix=mix, leaks="allow"), tmp_path / "run")
    sets = run.status()["audit"]["sets"]
    assert sets["folder"]["current"]
    assert sets["second"] is None
    told = of_audit(run.status())
    assert told.startswith("folder: Audit of the data, ")
    assert "second: The data were not audited (vesalius data audit" in told
    judge(other)
    note_verdict(run)
    assert run.status()["audit"]["sets"]["second"]["current"]  # made after the fit
    rows = (other / "train.jsonl").read_text().splitlines()
    changed = json.loads(rows[0]) | {"answer": "knee"}
    (other / "train.jsonl").write_text("\n".join([json.dumps(changed), *rows[1:]]) + "\n")
    again = fit(recipe(root, mix=mix, leaks="allow"), tmp_path / "again")
    assert not again.status()["audit"]["sets"]["second"]["current"]
    assert "second: The data were not audited as they are" in of_audit(again.status())


def test_a_damaged_verdict_is_told_of_and_stops_no_fit(root, tmp_path, cache, caplog):
    judge(root)
    (cache / "audits" / "bad-file.json").write_text('{"format": 1}')
    (cache / "audits" / "torn-file.json").write_text('{"format"')
    run = fit(recipe(root), tmp_path / "run")
    assert run.status()["audit"]["current"]
    assert caplog.text.count("an audit is passed over") == 2


def test_a_run_from_before_audits_is_not_audited(tmp_path):
    run = Run.create(
        tmp_path / "run",
        Recipe.model_validate(
            {"name": "old", "model": {"name": "majority"}, "data": {"dataset": "phantom"}}
        ),
    )
    note_verdict(run)
    assert "audit" not in run.status()
