"""Protocols side by side: the examples of metrics.md, with what each protocol says of them."""

import json

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app
from vesalius.errors import DatasetError, RecipeError, RunError, UnknownName
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.protocol_reasons import OTHER, reason
from vesalius.evaluation.protocols import named, side_by_side

CLOSED = [
    # reply, gold: strict, llava_med_v1
    ("The lungs are normal.", "no"),  # 0, 1
    ("Yes and no", "yes"),  # 0, 1
    ("yes", "yes"),  # 1, 1
    ("Left", "left"),  # 1, 0
    ("The left lung, not the right", "left"),  # 0, 1: "not" holds "no"
]
DRAWS = Draws(resamples=50)


@pytest.fixture
def rows(prediction):
    return [
        prediction(reply, gold, name=f"q{i}", group=f"g{i}", kind="closed")
        for i, (reply, gold) in enumerate(CLOSED)
    ]


def test_scores_and_reasons(rows):
    found = side_by_side(rows, ["strict", "llava_med_v1"], DRAWS)
    assert {name: part[0].value for name, part in found.scores.items()} == {
        "strict": pytest.approx(2 / 5),
        "llava_med_v1": pytest.approx(4 / 5),
    }
    assert [(a.more, a.reason, a.ids) for a in found.apart] == [
        (True, '"yes" or "no" stands inside another word', ("q0",)),
        (True, "it says both yes and no", ("q1",)),
        (True, "it holds the reference and more", ("q4",)),
        (False, "equal but for case, marks or articles", ("q3",)),
    ]
    assert found.shared == {"llava_med_v1": 5}


def test_the_threshold_is_in_the_name(prediction):
    rows = [prediction("left lung", "left upper lobe", name="a", kind="open")]
    loose, tight = (side_by_side(rows, [f"tolerant@{at}"], DRAWS) for at in (0.3, 0.5))
    # One word of two and three in common: F 2 x .5 x .333 / .833 = .4
    assert loose.scores["tolerant@0.3"][0].value == 1
    assert tight.scores["tolerant@0.5"][0].value == 0


@pytest.mark.parametrize(
    ("reply", "gold", "wanted"),
    [
        ("", "lung", "the reply is empty"),
        ("It is unclear", "yes", "it says neither yes nor no"),
        ("Yes, a mass", "yes", "it says the right one of yes and no, and more"),
        ("left", "left", "it is the reference, word for word, which is no yes or no"),
        ("25 cm", "2.5 cm", "the digits are the same, the number is not"),
        ("The lung.", "lung", "equal but for case, marks or articles"),
        ("heart heart heart", "heart", "it repeats a word of the reference"),
        ("the left lung", "lung", "it holds the reference and more"),
        ("lung", "left lung", "it is a part of the reference"),
        ("right lung", "left lung", "it shares words with the reference"),
        ("liver", "lung", OTHER),
    ],
)
def test_reasons(reply, gold, wanted):
    assert reason(reply, [gold]) == wanted


def test_a_protocol_that_cannot_be_had_says_why(rows):
    found = side_by_side(rows, ["strict", "vqa_soft"], DRAWS)
    assert "several annotators" in found.absent["vqa_soft"]
    assert [one.name for one in found.protocols] == ["strict"]
    with pytest.raises(DatasetError):
        side_by_side(rows, ["vqa_soft", "strict"], DRAWS)


@pytest.mark.parametrize("text", ["strict@0.3", "tolerant", "tolerant@high", "tolerant@0"])
def test_bad_names(text):
    with pytest.raises(RecipeError):
        side_by_side([], [text], DRAWS)


def test_unknown_and_repeated(rows):
    with pytest.raises(UnknownName, match="squad_v2"):
        named("squad_v1")
    with pytest.raises(RunError, match="q0"):
        side_by_side([rows[0], rows[0]], ["strict"], DRAWS)


def test_command(rows, tmp_path):
    file, saved = tmp_path / "p.jsonl", tmp_path / "sides.json"
    file.write_text("".join(json.dumps(p.to_row()) + "\n" for p in rows))
    names = "strict,squad_v2,llava_med_v1,tolerant@0.3,pope,pope_published"
    run = ["evaluate", str(file), "--protocol", names, "--resamples", "20", "--save", str(saved)]
    result = CliRunner().invoke(app, run, catch_exceptions=False)
    assert result.exit_code == 0
    assert "counts 3 answers more right" in result.output
    assert "'The lungs are normal.' for 'no'" in result.output
    text = saved.read_text()
    assert "q0" in text
    assert "lungs" not in text  # ids alone are kept


@pytest.mark.parametrize(
    "words",
    [["--metric", "squad"], ["--interval", "bca"], ["--histories"], ["--clean", "x"], ["--by", ""]],
)
def test_an_option_that_would_be_ignored_is_refused(rows, tmp_path, words):
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps(p.to_row()) + "\n" for p in rows))
    result = CliRunner().invoke(app, ["evaluate", str(file), "--protocol", "strict", *words])
    assert isinstance(result.exception, RunError)
    assert words[0] in str(result.exception)
