"""Claims: when they were stated, and what the answers say of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius import Recipe, Run, fit, predict, report
from vesalius.cli.main import app
from vesalius.errors import RecipeError, RunError
from vesalius.recipe import Claim
from vesalius.settings import validated
from vesalius.steps.claim import check_claims
from vesalius.system.files import read_json, write_json

CASES = {"train": 40, "validation": 0, "test": 40}


def recipe(name: str, model: str, **more: object) -> Recipe:
    return Recipe.model_validate(
        {
            "name": name,
            "data": {
                "dataset": "phantom",
                "options": {"cases": CASES, "size": 48},
                "splits": {"validation": None},
                "leaks": "allow",
            },
            "model": {"name": model},
            "evaluation": {"metrics": ["squad", "closed"], "resamples": 200},
            **more,
        }
    )


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = fit(recipe("common", "majority"), tmp_path_factory.mktemp("runs") / "common")
    predict(run)
    return run


@pytest.fixture(scope="module")
def run(baseline: Run) -> Run:
    """The nearest case's answers, with claims of all three verbs."""
    claims = [
        {"better_than": str(baseline.path)},
        {"better_than": str(baseline.path), "metric": "squad.f1"},
        {"equal_to": str(baseline.path), "metric": "length.words", "within": 0.9},
    ]
    path = baseline.path.parent / "near"
    run = fit(recipe("near", "nearest", claims=claims[:2]), path)
    predict(run)
    # Stated again with one more, once the answers are there: the run is the same.
    assert fit(recipe("near", "nearest", claims=claims), path).path == path
    return run


def test_claims_are_no_part_of_the_digest(baseline: Run) -> None:
    more = recipe("common", "majority", claims=[{"better_than": "x"}])
    assert more.digest() == baseline.recipe().digest()
    assert recipe("common", "majority").differences(more) == ()


def test_verdicts(run: Run) -> None:
    exact, _, length = check_claims(run)
    assert exact.outcome == "shown"
    assert exact.difference is not None
    assert exact.difference.low > 0
    assert not exact.post_hoc
    assert length.post_hoc
    assert length.marked.endswith("(post hoc)")


def test_the_opposite_is_refuted(run: Run, baseline: Run) -> None:
    fit(recipe("common", "majority", claims=[{"better_than": str(run.path)}]), baseline.path)
    (verdict,) = check_claims(baseline)
    assert (verdict.outcome, verdict.post_hoc) == ("refuted", True)


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"better_than": "runs/absent"}, "is not a run"),
        ({"better_than": "{other}", "metric": "squad.ex"}, "squad.em"),
        ({"better_than": "{other}", "metric": "length.words"}, "say equal_to"),
        ({"better_than": "{other}", "on": "external"}, "external"),
        ({"better_than": "{file}", "metric": "image_reliance"}, "a file holds no answers"),
        ({"better_than": "{other}", "metric": "detection.ap50"}, "nothing was measured in both"),
    ],
)
def test_what_cannot_be_measured_says_why(
    baseline: Run, tmp_path: Path, claim: dict[str, str], reason: str
) -> None:
    places = {"other": baseline.path, "file": baseline.predictions_file()}
    told = {key: value.format(**places) for key, value in claim.items()}
    run = fit(recipe("again", "majority", claims=[told]), tmp_path / "again")
    predict(run)
    (verdict,) = check_claims(run)
    assert verdict.outcome == "not measured"
    assert reason in verdict.reason


def test_image_reliance_of_a_model_that_looks_against_one_that_does_not(
    baseline: Run, tmp_path: Path
) -> None:
    """Blank pictures leave every answer of ``majority`` as it is: its reliance is 0."""
    claims = [
        {"better_than": str(baseline.path), "metric": "image_reliance"},
        {"better_than": str(baseline.path), "metric": "image_reliance", "on": "noise"},
    ]
    run = fit(recipe("near", "nearest", claims=claims), tmp_path / "near")
    for one in (run, baseline):
        for change in (None, "blank"):
            predict(one, change=change)
    blank, noise = check_claims(run)
    assert blank.outcome == "shown"
    assert blank.difference is not None
    assert blank.difference.first == 0
    assert blank.difference.second > 0.5
    assert noise.outcome == "not measured"
    assert "no predictions called 'noise'" in noise.reason


def test_a_claim_that_another_hand_changed_is_refused(baseline: Run, tmp_path: Path) -> None:
    claims = [{"better_than": str(baseline.path)}]
    run = fit(recipe("again", "majority", claims=claims), tmp_path / "again")
    status = read_json(run.path / "status.json")
    status["claims"][0]["claim"]["metric"] = "squad.f1"
    write_json(run.path / "status.json", status)
    with pytest.raises(RunError, match="not the one that was stated"):
        check_claims(run)


@pytest.mark.parametrize(
    "claim",
    [
        {},
        {"better_than": "a", "not_worse_than": "b"},
        {"better_than": "a", "margin": 0.1},
        {"better_than": "a", "within": 0.1},
    ],
)
def test_a_claim_has_one_verb_and_its_own_settings(claim: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        validated(Claim, claim, where="claims")


def test_command_and_exit_codes(run: Run, baseline: Run, tmp_path: Path) -> None:
    saved = tmp_path / "claims.json"
    result = CliRunner().invoke(app, ["claim", str(run.path), "--save", str(saved)])
    verdicts = json.loads(saved.read_text())
    assert result.exit_code == int(any(v["outcome"] != "shown" for v in verdicts))
    assert "shown: squad.em is better than that of" in result.output
    bare = fit(recipe("bare", "majority"), tmp_path / "bare")
    refused = CliRunner().invoke(app, ["claim", str(bare.path)])
    assert isinstance(refused.exception, RunError)
    assert "states no claim" in str(refused.exception)


def test_the_report_says_what_became_of_them(run: Run, tmp_path: Path) -> None:
    page = report(run, out=tmp_path / "page.html", pictures=False).read_text()
    assert "squad.em is better than that of" in page
    assert "post hoc" in page
    bare = fit(recipe("bare", "majority"), tmp_path / "bare")
    predict(bare)
    assert "No claim was stated" in report(bare, pictures=False).read_text()
