"""Replies are one object of known keys and values in range, or nothing, with the reason."""

from __future__ import annotations

import pytest

from vesalius.evaluation.judging.replies import NotMeasured, read_grading, read_preference
from vesalius.evaluation.judging.rubric import rubric

GOOD = '{"correctness": "partly"}'


@pytest.mark.parametrize(
    "text", [GOOD, f"\n {GOOD} \n", f"```json\n{GOOD}\n```", f"```\n{GOOD}```"]
)
def test_one_object_is_read(text: str) -> None:
    assert read_grading(text, rubric("correctness")).axes == {"correctness": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("It is partly correct.", "no JSON"),
        ("partly", "no JSON"),
        ('"partly"', "no object"),
        (f"[{GOOD}]", "no object"),
        (f"My grade: {GOOD}", "no JSON"),
        (f"{GOOD} because it is vague", "words beside it"),
        (f"Here:\n```json\n{GOOD}\n```", "no JSON"),
        (f"{GOOD}\n{GOOD}", "several objects"),
        (f"{GOOD}, {GOOD}", "several objects"),
        ('{"correctness": "partly", "why": "vague"}', "an unknown key"),
        ("{}", "a missing key"),
        ('{"correctness": "wrong", "correctness": "correct"}', "a key twice"),
        ('{"correctness": "Partly"}', "a value out of range"),
        ('{"correctness": 1}', "a value out of range"),
        ('{"correctness": null}', "a value out of range"),
        ('{"correctness": NaN}', "a value out of range"),
        ('{"correctness": ["partly"]}', "a value out of range"),
        ('{"correctness": "partly"', "no JSON"),
        ("{'correctness': 'partly'}", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("9" * 10_000, "no JSON"),
    ],
)
def test_anything_else_is_not_measured(text: str, reason: str) -> None:
    with pytest.raises(NotMeasured) as caught:
        read_grading(text, rubric("correctness"))
    assert caught.value.reason == reason


@pytest.mark.parametrize("grade", ["0", "6", "4.0", "true", '"4"', "1e0", "Infinity"])
def test_a_number_is_whole_and_on_its_scale(grade: str) -> None:
    axes = ("accuracy", "relevance", "completeness", "clarity", "helpfulness")
    row = "{" + ", ".join(f'"{axis}": 4' for axis in axes) + "}"
    assert set(read_grading(row, rubric("review")).axes.values()) == {4}
    with pytest.raises(NotMeasured, match="out of range"):
        read_grading(row.replace("4", grade, 1), rubric("review"))


def test_errors_are_tags_of_the_rubric() -> None:
    read = read_grading(
        '{"correctness": "wrong", "errors": ["side", "side"]}', rubric("error_tags")
    )
    assert (read.axes, read.errors, read.weight) == ({"correctness": 0}, ("side",), None)
    for errors in ('"side"', '["typo"]', "[1]", "null", '[["side"]]'):
        with pytest.raises(NotMeasured, match="out of range"):
            read_grading(f'{{"correctness": "wrong", "errors": {errors}}}', rubric("error_tags"))


def test_severity_is_that_of_the_worst_error_and_weights_add_up() -> None:
    # urgent 1 + non_actionable .25 = 1.25; urgent is the fourth of four levels
    text = (
        '{"errors": [{"error": "side", "severity": "urgent"},'
        ' {"error": "number", "severity": "non_actionable"}]}'
    )
    read = read_grading(text, rubric("severity"))
    assert (read.axes, read.errors, read.weight) == ({"severity": 4}, ("side", "number"), 1.25)
    clean = read_grading('{"errors": []}', rubric("severity"))
    assert (clean.axes, clean.errors, clean.weight) == ({"severity": 0}, (), 0)
    for error in ('"side"', '{"error": "side"}', '{"error": "side", "severity": 4}'):
        with pytest.raises(NotMeasured, match="out of range"):
            read_grading(f'{{"errors": [{error}]}}', rubric("severity"))


def test_a_preference() -> None:
    assert read_preference('{"better": "second"}') == "second"
    for text in ('{"better": "B"}', '{"better": 1}', '{"better": "first", "why": ""}', "second"):
        with pytest.raises(NotMeasured):
            read_preference(text)
