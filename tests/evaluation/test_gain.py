"""Did it help? Sentences follow intervals, and each count has its arithmetic."""

import json
from dataclasses import replace
from math import nan

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Neighbour
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.compare import compare
from vesalius.evaluation.contrasts import CONTROLS, Others, gain
from vesalius.evaluation.differences import Draws
from vesalius.evaluation.gain import Gain
from vesalius.evaluation.member_answers import member_predictions
from vesalius.models import capabilities

DRAWS = Draws(resamples=200)


@pytest.fixture
def rows(prediction):
    """rows(right, to=24): yes where 24 questions of 24 patients are answered rightly."""

    def make(*right):
        return [
            prediction(
                "yes" if i in right else "no",
                "yes",
                name=f"q{i}",
                group=f"g{i}",
                question="Describe this image.",
            )
            for i in range(24)
        ]

    return make


def sentence(found, *words):
    (text,) = [s for s in found.sentences() if all(word in s for word in words)]
    return text


@pytest.mark.parametrize(
    ("combined", "outcome", "words"),
    [
        (range(20), "better", "better than its best member (b)"),
        (range(2, 13), "undecided", "no difference to its best member (b) that these 24 cases"),
        (range(1), "worse", "worse than its best member (b)"),
    ],
)
def test_better_only_if_the_paired_interval_says_so(rows, combined, outcome, words):
    """The best member answers 12 of 24 rightly, the combination 20, 11 or 1."""
    others = Others(members={"a": rows(*range(6)), "b": rows(*range(12))})
    found = gain(rows(*combined), others, ["squad"], DRAWS)
    (contrast,) = [c for c in found.contrasts if c.difference.metric == "squad.em"]
    assert (contrast.outcome, contrast.other) == (outcome, "b")
    assert words in sentence(found, "member")
    assert "n = 24 in 24 groups" in sentence(found, "member")


@pytest.mark.parametrize(("metric", "primary"), [("rouge", "rouge.L"), ("squad", "squad.em")])
def test_sentences_are_by_the_score_that_stands_for_the_first_metric(rows, metric, primary):
    """ROUGE-1 comes first in its metric and BERTScore's precision does: neither is its headline."""
    found = gain(rows(*range(20)), Others(members={"a": rows(1)}), [metric, "closed"], DRAWS)
    assert found.primary == primary
    assert found.sentences()[0].startswith(f"{primary}: better than its best member")


def test_differences_are_those_of_compare(rows):
    member, combined = rows(*range(12)), rows(*range(4, 20))
    found = gain(combined, Others(members={"a": member}), ["squad", "closed"], DRAWS)
    pair = compare(member, combined, ["squad", "closed"], resamples=200, by=())
    wanted = {d.metric: d for d in pair.overall()}
    assert found.contrasts
    for contrast in found.contrasts:
        d = contrast.difference
        assert replace(d, p_holm=nan).difference == wanted[d.metric].difference
        assert (d.low, d.high, d.p) == tuple(
            getattr(wanted[d.metric], name) for name in ("low", "high", "p")
        )


def test_of_one_group_nothing_can_be_said(rows):
    one = [replace(p, group="g") for p in rows(*range(20))]
    members = {"a": [replace(p, group="g") for p in rows(*range(4))]}
    found = gain(one, Others(members=members), ["squad"], DRAWS)
    assert found.contrasts[0].outcome == "unknown"
    assert any("cannot be said of 1 groups" in s for s in found.sentences())


def test_of_five_groups_an_interval_alone_decides_nothing(rows):
    """All five got better: the interval is above zero, but 2 of 2^5 swaps are as far: p .0625."""
    others = Others(members={"a": rows()[:5]})
    found = gain(rows(*range(5))[:5], others, ["squad"], Draws(resamples=2000))
    contrast = found.contrasts[0]
    assert contrast.difference.low > 0
    assert contrast.difference.p == pytest.approx(2 / 32, abs=0.02)
    assert contrast.outcome == "undecided"


def test_without_resamples_nothing_is_decided(rows):
    found = gain(rows(*range(20)), Others(members={"a": rows()}), ["squad"], Draws(resamples=0))
    assert {c.outcome for c in found.contrasts} == {"unknown"}
    assert "cannot be said without resamples: +0.833, n = 24" in sentence(found, "differs")


def test_lower_is_better_where_the_score_says_so(rows):
    """The combination says neither yes nor no less often than its member."""
    silent = [replace(p, answer=Answer("perhaps")) for p in rows()]
    found = gain(rows(*range(24)), Others(members={"a": silent}), ["closed"], DRAWS)
    by_name = {c.difference.metric: c for c in found.contrasts}
    unparsed = by_name["closed.unparsed_rate"]
    assert (unparsed.difference.difference, unparsed.outcome) == (-1.0, "better")


def test_harm_is_right_without_and_wrong_with(rows):
    """Without: 0 to 11 right. With: 3 to 20. So 3 of 24 are harmed, 9 saved."""
    others = Others(without=("plain", rows(*range(12))))
    found = gain(rows(*range(3, 21)), others, ["squad"], DRAWS)
    (harm,) = [h for h in found.harms if h.metric == "squad.em"]
    assert (harm.harmed.value, harm.saved.value) == (3 / 24, 9 / 24)
    assert (harm.margin, harm.harmed.n, harm.other) == (0, 24, "plain")
    assert 0 <= harm.harmed.low < 3 / 24 < harm.harmed.high
    assert "are right with plain and wrong in the combination" in sentence(found, "harm rate")


def test_a_harm_of_no_case_has_wilsons_interval(rows):
    found = gain(rows(*range(12)), Others(without=("plain", rows(*range(12)))), ["squad"], DRAWS)
    harm = found.harms[0]
    # Wilson's upper bound of 0 of 24: z^2 / (24 + z^2) = 3.8415 / 27.8415
    assert (harm.harmed.value, harm.harmed.interval) == (0, "wilson")
    assert harm.harmed.high == pytest.approx(0.138, abs=1e-3)


def test_a_graded_score_is_harmed_by_more_than_the_margin(prediction):
    """Token F1 of 3 words: three right 1, two of three 2/3; 2/3 to 1/3 is a fall of .33."""
    golds = "left lower lobe"
    before = ["left lower lobe", "left lower base", "left lower lobe"]
    after = ["left lower lobe", "left upper base", "left lower"]  # falls of 0, 1/3, 1/5
    ids = [f"q{i}" for i in range(3)]
    first = [prediction(t, golds, name=i, group=i) for t, i in zip(before, ids, strict=True)]
    second = [prediction(t, golds, name=i, group=i) for t, i in zip(after, ids, strict=True)]
    found = gain(second, Others(without=("plain", first)), ["squad"], DRAWS)
    (harm,) = [h for h in found.harms if h.metric == "squad.f1"]
    assert (harm.margin, harm.harmed.value) == (0.1, 2 / 3)


def test_the_guard_off_is_told_as_what_it_adds(rows):
    guarded, unguarded, swapped = rows(*range(8)), rows(*range(22)), rows(*range(8))
    others = Others(controls={"unguarded": unguarded, "swapped": swapped})
    found = gain(guarded, others, ["squad"], DRAWS)
    by_kind = {c.kind: c for c in found.contrasts if c.difference.metric == "squad.em"}
    assert by_kind["unguarded"].difference.difference == pytest.approx(14 / 24)
    assert by_kind["swapped"].difference.difference == 0
    assert "leakage: it scores more" in sentence(found, "leakage")
    assert "another case's neighbours serve as well" in sentence(found, "another")


def test_controls_of_a_part_of_the_answers_say_so(rows):
    others = Others(controls={"swapped": rows(*range(8))[:10]})
    found = gain(rows(*range(8)), others, ["squad"], DRAWS)
    assert "swapped: 10 of 24 answers could be compared" in found.sentences()
    assert found.contrasts[0].difference.n == 10


def test_copies_are_counted_where_there_are_neighbours(prediction):
    near = (Neighbour("c", 0.9, "p", "a large mass in the left lung"),)
    copied = prediction("a large mass in the liver", "no mass", evidence=near, group="a")
    found = gain([copied], Others(members={"a": [copied]}), ["squad"], DRAWS)
    # 4-grams: "a large mass in", "large mass in the", "mass in the liver": two of three
    assert found.copy is not None
    assert found.copy.value == pytest.approx(2 / 3)
    assert "copy rate: 0.667" in sentence(found, "copy rate")


def test_json_there_and_back(rows):
    others = Others(members={"a": rows(*range(12))}, without=("plain", rows(1)))
    found = gain(rows(*range(20)), others, ["squad", "bleu"], DRAWS)
    data = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert data["contrasts"][0]["outcome"] == "better"
    assert Gain.from_json(data).sentences() == found.sentences()
    with pytest.raises(RunError, match="not what a combination gains"):
        Gain.from_json({"primary": "x"})


def test_nothing_measured_is_refused(prediction):
    bare = [prediction("yes", name="a")]
    with pytest.raises(NotComparable, match="nothing of it could be measured"):
        gain(bare, Others(members={"a": bare}), ["squad"], DRAWS)


def test_other_questions_are_refused(rows, prediction):
    other = [prediction("yes", "yes", name="elsewhere")]
    with pytest.raises(NotComparable, match="no id is shared"):
        gain(rows(1), Others(without=("plain", other)), ["squad"], DRAWS)


def test_no_calibration_and_no_baseline_stands_among_the_gains(rows):
    found = gain(rows(*range(9)), Others(members={"a": rows(1)}), ["closed", "calibration"], DRAWS)
    names = {c.difference.metric for c in found.contrasts}
    assert "closed.accuracy" in names
    assert not any("majority" in name or "yes_rate" in name or "ece" in name for name in names)


def test_the_controls_are_those_that_models_know():
    assert CONTROLS == capabilities.CONTROLS


def test_nothing_to_hold_it_against():
    assert not Others()
    assert member_predictions([]) == {}
