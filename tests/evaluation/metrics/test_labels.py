"""Macro F1 over labels, and POPE's readings of yes and no."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from vesalius.evaluation.metrics import metrics


def test_by_hand(scored, prediction):
    """ct: wanted 2, given 3, both 2: F1 .8; mri and us: wanted once, given never: 0."""
    rows = [
        prediction("CT", "ct", name="a"),
        prediction("the CT.", "ct", name="b"),
        prediction("ct", "mri", name="c"),
        prediction("x-ray", "us", name="d"),
    ]
    assert scored("label_f1", *rows)["label_f1.macro"] == pytest.approx((0.8 + 0 + 0) / 3)


def test_equals_scikit_learn(prediction):
    rng = np.random.default_rng(3)
    golds, replies = (rng.choice(list("abcdef"), 300) for _ in range(2))
    golds[:250] = np.where(golds[:250] == "a", "b", golds[:250])
    rows = [
        prediction(f"x{r}", f"x{g}", name=str(i))
        for i, (r, g) in enumerate(zip(replies, golds, strict=True))
    ]
    metric = metrics["label_f1"]()
    table = metric.measure(rows)
    weights = np.stack([np.ones(300), rng.integers(0, 3, 300)]).astype(float)
    found = metric.aggregate(table, weights)["label_f1.macro"]
    for value, one in zip(found, weights, strict=True):
        wanted = f1_score(
            golds, replies, average="macro", labels=np.unique(golds), sample_weight=one
        )
        assert value == pytest.approx(wanted)


def test_always_the_commonest_answer(scored, prediction):
    """90 of 100 are "no": accuracy .9, F1 of no 2 x 90 / 190, of yes 0."""
    rows = [prediction("no", "no" if i < 90 else "yes", name=str(i)) for i in range(100)]
    assert scored("label_f1", *rows)["label_f1.macro"] == pytest.approx(180 / 190 / 2)


POPE = [
    # reply, gold; strict: yes, both, yes, no, neither; published: yes, no, yes, no, yes
    ("Yes, there is.", "yes"),
    ("Yes. There is no doubt, no.", "yes"),
    ("yes", "no"),
    ("No mass", "no"),
    ("It is normal", "no"),
]


def test_pope_strict(scored, prediction):
    """Yes said for 1 and 3, wanted by 1 and 2, both 1; right are 1 and 4."""
    rows = [prediction(said, gold, name=str(i)) for i, (said, gold) in enumerate(POPE)]
    found = scored("pope", *rows)
    wanted = {
        "accuracy": 2 / 5,
        "precision": 1 / 2,
        "recall": 1 / 2,
        "f1": 1 / 2,
        "yes_rate": 2 / 5,
    }
    assert found == pytest.approx({f"pope.{name}": value for name, value in wanted.items()})


def test_pope_as_published(scored, prediction):
    """The first sentence alone: 2 is yes, 5 as well. Yes said four times, wanted twice, both 2."""
    rows = [prediction(said, gold, name=str(i)) for i, (said, gold) in enumerate(POPE)]
    found = scored({"pope": {"reading": "published"}}, *rows)
    wanted = {"accuracy": 3 / 5, "precision": 2 / 4, "recall": 1, "f1": 4 / 6, "yes_rate": 4 / 5}
    assert found == pytest.approx({f"pope.{k}_as_published": value for k, value in wanted.items()})


def test_open_questions_are_not_measured(scored, prediction):
    assert all(np.isnan(value) for value in scored("pope", prediction("yes", "lung")).values())
