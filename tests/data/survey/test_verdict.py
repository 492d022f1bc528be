"""Verdicts: states from bounds, one line, and JSON that can be read again."""

from __future__ import annotations

import json

import pytest

from vesalius.data.survey.verdict import (
    Verdict,
    by_rule,
    headline,
    measured,
    rules,
    unmeasured,
)
from vesalius.errors import DatasetError, RecipeError


def verdict(*results):
    splits = {"train": {"cases": 2, "sha256": "0" * 64}}
    return Verdict("mine", "2026-01-02T03:04:05+00:00", splits, by_rule(results), "0")


def test_bounds_are_exclusive():
    rule = rules()["copies_across"]
    assert [rule.state(v) for v in (0, 0.001, rule.fault, 0.02)] == [
        "sound",
        "doubtful",
        "doubtful",
        "fault",
    ]
    assert rules()["questions"].state(1.0) == "doubtful"  # never a fault


def test_the_gravest_state_is_the_verdicts():
    some = (measured("priors", 0.1, "a"), unmeasured("captions", "b"))
    assert verdict(*some).state == "sound"
    assert verdict(*some, measured("patients", 0.1, "c")).state == "fault"
    assert verdict(unmeasured("captions", "b")).state == "not measured"


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({"a": "fault", "b": "fault", "c": "doubtful"}, "2 faults: no score"),
        ({"a": "doubtful", "b": "not measured"}, "No fault, but"),
        ({"a": "sound", "b": "not measured"}, "Sound, as far as it was measured; 1 check not"),
        ({"a": "not measured"}, "Nothing could be measured"),
    ],
)
def test_the_headline_tells_it_in_one_line(states, words):
    assert headline(states).startswith(words)


def test_what_is_written_is_read_again():
    before = verdict(
        measured("priors", 0.6, "a", facts={"accuracy": 0.6}), unmeasured("captions", "b")
    )
    content = json.loads(json.dumps(before.to_json()))
    after = Verdict.from_json(content, where="here")
    assert after.to_json() == before.to_json()
    assert content["checks"]["captions"]["value"] is None


def test_another_format_and_no_verdict_are_refused_with_their_place():
    content = verdict(unmeasured("captions", "b")).to_json()
    with pytest.raises(DatasetError, match="here: a verdict of format 2, not 1"):
        Verdict.from_json(content | {"format": 2}, where="here")
    with pytest.raises(RecipeError, match="here: checks"):
        Verdict.from_json({k: v for k, v in content.items() if k != "checks"}, where="here")
    with pytest.raises(RecipeError, match="here"):
        Verdict.from_json([], where="here")


def test_the_guide_has_every_check_with_its_bounds():
    from pathlib import Path

    guide = Path(__file__).parents[3] / "docs" / "guide" / "data-audit.md"
    text = guide.read_text(encoding="utf-8")
    for rule in rules().values():
        fault = "never" if rule.fault is None else f"{rule.fault:g}"
        assert f"| {rule.title} | {rule.measures} | {rule.doubtful:g} | {fault} |" in text
