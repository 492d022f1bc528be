"""What every metric promises, ours and other people's."""

import json
import warnings

import numpy as np
import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Confidence, Neighbour, Prediction
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics import metrics

TEXTS = [
    ("yes", ("yes", "yes")),
    ("", ("no", "no")),
    ("Left pleural effusion, 12 mm.", ("No left effusion, 12 mm", "effusion on the left")),
    ("Größe 5 cm — 肺炎 🫁", ("肺炎", "Größe 5 cm")),
    ("No mass in the right lung", ("No mass in the left lung", "no mass")),
    ("MRI of the brain", ("brain MRI", "MRI")),
    ("no", ("yes", "yes")),
    ("Yes", ("no", "no")),
]


def rows(texts=TEXTS):
    box = Box(10, 10, 20, 20, "tumour")
    return [
        Prediction(
            f"q{i}",
            Answer(said, boxes=(Box(11, 10, 20, 20, "tumour", score=0.9),), concepts=("C1", "C2")),
            question="is there a mass?",
            references=tuple(Answer(g, boxes=(box,), concepts=("C2",)) for g in golds),
            group=f"g{i // 2}",
            picture=f"p{i // 2}",
            confidence=Confidence(0.1 + 0.1 * i, "mean token probability"),
            scores=dict.fromkeys(golds, 0.1 * i),
            evidence=(Neighbour("c", 0.9, "p", "No left effusion, 12 mm"),),
        )
        for i, (said, golds) in enumerate(texts)
    ]


LABELS = {"bleurt": 1, "align_score": 3}
"""Metrics whose weights come with nothing: they get tiny ones with so many labels."""


CLINICAL = ("radgraph", "chexbert", "ratescore", "green", "crimson")
"""Metrics of RadEval: they get an interpreter whose RadEval counts words."""
RADEVAL = """
class RadEval:
    def __init__(self, do_radgraph=0, do_f1chexbert=0, do_ratescore=0, do_green=0, do_crimson=0,
                 do_per_sample=0, show_progress=1):
        pass

    def __call__(self, refs, hyps):
        pairs = [(set(r.split()), set(h.split())) for r, h in zip(refs, hyps)]
        shares = [len(r & h) / len(r | h) for r, h in pairs]
        keys = "radgraph_simple radgraph_partial radgraph_complete f1chexbert_sample_acc_5 "
        keys += "f1chexbert_sample_acc_all ratescore green crimson"
        return dict.fromkeys(keys.split(), shares)
"""


@pytest.fixture(scope="module")
def counting(radeval):
    return radeval(RADEVAL)


@pytest.fixture(params=list(metrics), scope="module")
def metric(request, pair_weights):
    if request.param in {"bertscore", "image_clef_caption"}:
        pytest.importorskip("bert_score")
    if request.param in LABELS:
        return metrics[request.param](model=str(pair_weights(LABELS[request.param])))
    if request.param in CLINICAL:
        return metrics[request.param](python=request.getfixturevalue("counting"))
    return metrics[request.param]()


def test_protocol_is_complete_json(metric):
    said = metric.protocol.to_dict()
    assert json.loads(json.dumps(said)) == said
    assert all(said[k] for k in ("name", "implementation", "normalisation", "averaging"))
    assert str(metric.protocol)


def test_nothing_is_nan_never_nought(metric):
    table = metric.measure([])
    scores = metric.aggregate(table, np.ones((2, 0)))
    assert scores
    assert all(np.isnan(v).all() and v.shape == (2,) for v in scores.values())


def test_no_reference_is_nan(metric):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = metric.measure([Prediction("a", Answer("lung"))])
        scores = metric.aggregate(table, np.ones((1, 1)))
    assert all(np.isnan(v[0]) for v in scores.values())


def test_rows_in_shape(metric):
    table = metric.measure(rows())
    assert all(column.shape[0] == len(TEXTS) for column in table.values())
    scores = metric.aggregate(table, np.ones((3, len(TEXTS))))
    assert all(v.shape == (3,) and v.dtype == np.float64 for v in scores.values())
    assert any(not np.isnan(v[0]) for v in scores.values())


def test_a_row_drawn_twice_is_a_row_of_weight_two(metric):
    table = metric.measure(rows())
    weights = np.array([[1.0, 2, 1, 0, 3, 1, 2, 1]])
    times = weights[0].astype(int)
    repeated = {k: np.repeat(v, times, axis=0) for k, v in table.items()}
    weighted = metric.aggregate(table, weights)
    drawn = metric.aggregate(repeated, np.ones((1, times.sum())))
    for name, value in weighted.items():
        if "majority" not in name:  # the class is fixed by the table that is given
            assert value == pytest.approx(drawn[name], nan_ok=True), name


def test_chunks_do_not_matter(metric):
    table = metric.measure(rows())
    weights = np.random.default_rng(0).integers(0, 3, (6, len(TEXTS))).astype(float)
    whole = metric.aggregate(table, weights)
    parts = [metric.aggregate(table, weights[i : i + 2]) for i in (0, 2, 4)]
    for name, value in whole.items():
        assert value == pytest.approx(np.concatenate([p[name] for p in parts]), nan_ok=True)


def test_two_systems_stack(metric):
    """Columns have the same width and coding whatever the answers are."""
    ours = metric.measure(rows())
    theirs = metric.measure(rows([("other words", golds) for _, golds in TEXTS]))
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_inputs_are_left_alone(metric):
    table = metric.measure(rows())
    before = {k: v.copy() for k, v in table.items()}
    metric.aggregate(table, np.ones((2, len(TEXTS))))
    for name, column in table.items():
        assert np.array_equal(column, before[name], equal_nan=True)


def test_all_together():
    found = evaluate(rows(), list(metrics), resamples=20)
    assert {score.protocol for score in found.scores} == set(metrics)
