"""Probes: what is left, flipped, lost and relied on, by hand-worked arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.evaluate import predictions_sha256
from vesalius.evaluation.probe_results import Probes, probes_file, probes_of, save_probes
from vesalius.evaluation.probes import Probe, Quantity, probe, unmeasured
from vesalius.recipe import Recipe
from vesalius.run import Run


@dataclass(frozen=True)
class Row:
    name: str = "blank"
    what: str = "every picture uniform grey"
    quantity: Quantity = "remains"
    sentence: str = "{share} of this score needs no image"
    without_picture: bool = True


FLIPPED = Row(
    "reworded", "other words", "flips", "{share} of the answers change", without_picture=False
)
LOST = Row(
    "asserted", "a friend", "lost", "{share} of the right answers give way", without_picture=False
)


def answered(texts: str, golds: str, **fields: object) -> list[Prediction]:
    """A prediction a letter, each of a group of its own."""
    return [
        Prediction(f"q{i}", Answer(text), references=(Answer(gold),), group=f"g{i}", **fields)
        for i, (text, gold) in enumerate(zip(texts, golds, strict=True))
    ]


def run_probe(before: list[Prediction], after: list[Prediction], row: Row = Row()) -> Probe:
    return probe(row, before, after, spec="squad", metric="squad.em", draws=Draws(200))


def value(result: Probe, name: str) -> float:
    return round(result.scores[name].value, 6)


def test_image_reliance_is_the_share_above_a_constant_answer_that_is_lost() -> None:
    # Ten golds: x six times, y four times. Own: 9 of 10 right. Changed: 7 of 10. Always "x": 6.
    # 7/9 of the score needs no image; of the 3 above the constant 2 are lost.
    golds = "xxxxxxyyyy"
    result = run_probe(answered("xxxxxxyyyx", golds), answered("xxxxxxyxxx", golds))
    assert (value(result, "before"), value(result, "after")) == (0.9, 0.7)
    assert value(result, "change") == -0.2
    assert value(result, "remains") == round(7 / 9, 6)
    assert value(result, "flips") == 0.2
    assert value(result, "lost") == round(2 / 9, 6)
    assert value(result, "reliance") == round(2 / 3, 6)
    low, high = result.scores["reliance"].low, result.scores["reliance"].high
    assert low <= 2 / 3 <= high
    assert str(result).startswith("78 % [")
    assert str(result).endswith("] of this score needs no image.")


def test_no_reliance_and_all_of_it() -> None:
    golds = "xxxyyyxxyy"  # x and y five times each: a constant is right half the time
    own = answered(golds, golds)
    assert value(run_probe(own, own), "reliance") == 0
    assert value(run_probe(own, answered("x" * 10, golds)), "reliance") == 1
    worse = run_probe(own, answered("yyyxxxyyxx", golds))
    assert value(worse, "reliance") == 2  # without the picture it is below the constant


def test_where_the_constant_is_not_beaten_reliance_is_not_measured() -> None:
    golds = "xxxxxxyyyy"
    same = answered("x" * 10, golds)
    result = run_probe(same, same)
    assert result.reliance is None
    assert value(result, "remains") == 1
    probes = Probes("squad.em", "squad", "test", (result,))
    assert "squad.em is no better than a constant answer" in probes.verdict()[0]
    assert "no probe took the picture away" in replace(probes, rows=()).verdict()[0]


def test_nothing_right_leaves_nothing_to_lose() -> None:
    wrong = answered("zzzz", "xxyy")
    assert str(run_probe(wrong, wrong)) == "Not measured: there is no score to lose."
    assert str(run_probe(wrong, wrong, LOST)) == "Not measured: no answer was right before."
    assert str(run_probe(wrong, wrong, FLIPPED)).startswith("0 % [0, ")  # Wilson: four prove little


def test_each_side_is_scored_by_its_own_references() -> None:
    # mirrored: left becomes right in picture and reference, and the answers follow
    result = run_probe(answered("llrr", "llrr"), answered("rrll", "rrll"), FLIPPED)
    assert (value(result, "before"), value(result, "after")) == (1, 1)
    assert value(result, "flips") == 1
    assert "reliance" not in result.scores


def test_answers_are_paired_by_id_and_only_those_asked_twice_count() -> None:
    own = answered("xxyy", "xxyy")
    result = run_probe(own, answered("xxyy", "xxyy")[::-1][:3])
    assert result.n == 3
    assert value(result, "flips") == 0
    with pytest.raises(RunError, match="appears 2 times"):
        run_probe(own, [own[0], own[0]])


def test_what_nobody_answered_for_us_is_not_measured() -> None:
    own = [replace(p, references=()) for p in answered("xx", "xx")]
    result = run_probe(own, own)
    assert not result.measured
    assert str(result) == "Not measured: nothing was answered that squad.em measures."


def test_a_letter_that_follows_its_option_is_no_flip() -> None:
    fields = {"kind": "closed"}
    before = answered("AB", "AB", options=("A. mass", "B. cyst"), **fields)
    after = answered("BB", "BA", options=("A. cyst", "B. mass"), **fields)
    result = probe(FLIPPED, before, after, spec="closed", metric="closed.accuracy", draws=Draws(0))
    # the first still says mass; the second said cyst and now says mass
    assert value(result, "flips") == 0.5
    assert value(result, "lost") == 0.5


def test_boxes_flip_where_they_are_others() -> None:
    here, there = Box(0, 0, 5, 5, "mass"), Box(9, 9, 5, 5, "mass")
    own = [
        Prediction(
            f"q{i}",
            Answer(boxes=(here,)),
            references=(Answer(boxes=(here,)),),
            group=f"g{i}",
            picture=f"p{i}",
        )
        for i in range(3)
    ]
    moved = [replace(p, answer=Answer(boxes=(there,))) for p in own[:1]] + own[1:]
    result = probe(
        Row(), own, moved, spec="localisation", metric="localisation.iou", draws=Draws(50)
    )
    assert value(result, "flips") == round(1 / 3, 6)
    assert value(result, "after") == round(2 / 3, 6)
    assert result.reliance is None  # the commonest reference is all there is


def test_groups_not_questions_are_resampled() -> None:
    golds = "xy" * 20
    own, changed = answered(golds, golds), answered("xx" * 20, golds)
    apart = run_probe(own, changed).scores["change"]
    pairs = [
        [replace(p, group=f"g{i // 10}") for i, p in enumerate(rows)] for rows in (own, changed)
    ]
    assert run_probe(*pairs).scores["change"].groups == 4
    assert apart.groups == 40


@pytest.fixture
def run(tmp_path: Path) -> Run:
    recipe = {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
    run = Run.create(tmp_path / "r", Recipe.model_validate(recipe))
    run.append(answered("xxyy", "xxyy"))
    run.append(answered("xxxx", "xxyy"), "blank")
    return run


def saved(run: Run) -> Probes:
    result = run_probe(list(run.predictions()), list(run.predictions("blank")))
    rows = (
        replace(result, predictions_sha256=predictions_sha256(run, "blank")),
        unmeasured(Row("inside-box"), "no case has boxes"),
    )
    sets = {"blank": "blank", "inside-box": "inside-box"}
    probes = Probes("squad.em", "squad", "test", rows, sets, "", predictions_sha256(run))
    save_probes(run, probes)
    return probes


def test_a_file_of_probes_is_read_as_it_was_written(run: Run) -> None:
    assert probes_of(run) is None
    probes = saved(run)
    there = probes_of(run)
    assert repr(there) == repr(probes)  # from Python 3.13 on a NaN in them is not equal to itself
    assert there.verdict() == probes.verdict()
    assert [row.name for row in there.missing] == ["inside-box"]
    assert there.stale(run) == []
    probes_file(run).write_text('{"rows": [{"name": "blank"}]}')
    with pytest.raises(RunError, match=r"not what probes measured"):
        probes_of(run)


def test_probes_of_other_answers_are_stale(run: Run) -> None:
    probes = saved(run)
    run.append([Prediction("more", Answer("x"))], "blank")
    assert probes.stale(run) == ["blank"]
    probes = saved(run)
    assert probes.stale(run) == []
    run.append([Prediction("more", Answer("x"))])
    assert probes.stale(run) == ["blank"]
