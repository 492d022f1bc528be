"""Average precision equal to COCO's own evaluation; presence per image beside it."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.evaluate import evaluate
from vesalius.evaluation.metrics.detection import Detection


def image(said, wanted, name="a"):
    return Prediction(name, Answer(boxes=said), references=(Answer(boxes=wanted),))


def test_iou():
    # 10x10 and 10x10 shifted by 5: 50 / 150
    assert Box(0, 0, 10, 10, "a").iou(Box(5, 0, 10, 10, "a")) == pytest.approx(1 / 3)
    assert Box(0, 0, 10, 10, "a").iou(Box(10, 0, 10, 10, "a")) == 0


def test_counts_at_the_confidence(scored):
    gold = Box(0, 0, 10, 10, "mass")
    rows = [
        image((Box(0, 0, 10, 10, "mass", score=0.9),), (gold,), "right"),
        image((Box(50, 50, 10, 10, "mass", score=0.8),), (gold,), "elsewhere"),
        image((Box(0, 0, 10, 10, "mass", score=0.3),), (gold,), "unsure"),
        image((), (), "negative"),
        image((Box(0, 0, 5, 5, "mass", score=0.7),), (), "alarm"),
    ]
    found = scored("detection", *rows)
    # shown: 3 boxes, 1 right; references: 3
    assert found["detection.precision"] == pytest.approx(1 / 3)
    assert found["detection.recall"] == pytest.approx(1 / 3)
    # a box is shown on 2 of 3 images with a finding, and on 1 of 2 without
    assert found["detection.sensitivity"] == pytest.approx(2 / 3)
    assert found["detection.specificity"] == pytest.approx(1 / 2)


def test_a_label_is_not_another(scored):
    row = image((Box(0, 0, 9, 9, "nodule", score=0.9),), (Box(0, 0, 9, 9, "mass"),))
    found = scored("detection", row)
    assert found["detection.map"] == found["detection.precision"] == 0


def test_no_boxes_predicted_at_all_is_not_measured(scored):
    row = Prediction("a", Answer("text"), references=(Answer(boxes=()),))
    assert np.isnan(list(scored("detection", row).values())).all()


def cohort(seed=0, images=25):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(images):
        gold = [
            Box(*rng.uniform(0, 60, 2), *rng.uniform(10, 30, 2), str(rng.choice(["a", "b"])))
            for _ in range(rng.integers(0, 4))
        ]
        said = [
            Box(
                max(0, g.x + rng.normal(0, 3)),
                max(0, g.y + rng.normal(0, 3)),
                g.width,
                g.height,
                g.label if rng.random() < 0.8 else "a",
                score=float(rng.random()),
            )
            for g in gold
            for _ in range(rng.integers(0, 3))
        ]
        said += [Box(*rng.uniform(0, 60, 2), 15, 15, "b", score=float(rng.random()))]
        rows.append(image(tuple(said), tuple(gold), str(i)))
    return rows


def coco(rows):
    faster = pytest.importorskip("faster_coco_eval")
    boxes = [(i, b) for i, p in enumerate(rows) for b in p.references[0].boxes]
    truth = {
        "images": [{"id": i, "width": 400, "height": 400} for i in range(len(rows))],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {
                "id": k + 1,
                "image_id": i,
                "category_id": "ab".index(b.label) + 1,
                "iscrowd": int(b.crowd),
                "bbox": [b.x, b.y, b.width, b.height],
                "area": b.width * b.height,
            }
            for k, (i, b) in enumerate(boxes)
        ],
    }
    said = [
        {
            "image_id": i,
            "category_id": "ab".index(b.label) + 1,
            "score": b.score,
            "bbox": [b.x, b.y, b.width, b.height],
        }
        for i, p in enumerate(rows)
        for b in p.answer.boxes
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        gold = faster.COCO(truth)
        run = faster.COCOeval_faster(gold, gold.loadRes(said), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_to_coco(scored, seed):
    rows = cohort(seed)
    theirs = coco(rows)
    found = scored("detection", *rows)
    names = ("map", "ap50", "ap75")
    assert [found[f"detection.{k}"] for k in names] == pytest.approx(theirs[:3].tolist())
    recalls = [found[f"detection.ar{k}"] for k in (1, 10, 100)]
    assert recalls == pytest.approx(theirs[6:9].tolist())


def crowd(seed=0, images=4, each=57):
    """Two classes and 114 boxes an image: more than COCO's hundred, but not of one class."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(images):
        corners = [(str(label), rng.uniform(0, 80, 2)) for label in "ab" for _ in range(each)]
        gold = [Box(*corner, 12, 12, label) for label, corner in corners]
        said = [
            Box(
                *(np.array([b.x, b.y]) + rng.uniform(0, 4, 2)),
                12,
                12,
                b.label,
                # every box of class a is surer than any of class b
                score=float(rng.random() / 2 + (0.5 if b.label == "a" else 0)),
            )
            for b in gold
        ]
        rows.append(image(tuple(said), tuple(gold), str(i)))
    return rows


@pytest.mark.parametrize("each", [57, 130])  # 114 boxes an image; and 130 of each class
def test_a_hundred_boxes_count_of_each_class(scored, each):
    rows = crowd(each=each)
    theirs = coco(rows)
    found = scored("detection", *rows)
    names = ("map", "ap50", "ap75", "ar1", "ar10", "ar100")
    assert [found[f"detection.{k}"] for k in names] == pytest.approx(
        theirs[[0, 1, 2, 6, 7, 8]].tolist()
    )


def sizes(seed):
    """Boxes of all three sizes, some of them crowds, which COCO ignores."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(12):
        gold, said = [], []
        for label, edge in (("a", 20), ("a", 60), ("b", 120), ("b", 34)):
            left, top = rng.uniform(0, 200, 2)
            whole = bool(rng.random() < 0.25)
            gold.append(Box(left, top, edge, edge * 1.1, label, crowd=whole))
            for _ in range(rng.integers(0, 4)):
                dx, dy = rng.normal(0, edge / 8, 2)
                size = edge * rng.uniform(0.7, 1.1)
                score = float(rng.random())
                said.append(
                    Box(max(0, left + dx), max(0, top + dy), size, size, label, score=score)
                )
        rows.append(image(tuple(said), tuple(gold), str(i)))
    return rows


TWELVE = [
    "map",
    "ap50",
    "ap75",
    "map_small",
    "map_medium",
    "map_large",
    "ar1",
    "ar10",
    "ar100",
    "ar_small",
    "ar_medium",
    "ar_large",
]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_all_twelve_are_cocos_with_sizes_and_crowds(scored, seed):
    rows = sizes(seed)
    theirs = coco(rows)
    found = scored("detection", *rows)
    assert [found[f"detection.{k}"] for k in TWELVE] == pytest.approx(theirs[:12].tolist())


def test_a_resample_is_the_same_as_the_images_drawn(scored):
    rows = sizes(3)
    times = np.random.default_rng(0).integers(0, 3, len(rows))
    metric = Detection()
    resampled = metric.aggregate(metric.measure(rows), times[None].astype(float))
    pairs = zip(rows, times, strict=True)
    drawn = [replace(row, id=f"{row.id}.{k}") for row, n in pairs for k in range(n)]
    plain = scored("detection", *drawn)
    found = {name: values[0] for name, values in resampled.items()}
    assert found == pytest.approx(plain, nan_ok=True)


def mass(score=None, at=0, label="mass"):
    return Box(at, 0, 10, 10, label, score=score)


def test_froc_by_hand(scored):
    rows = [
        image((mass(0.9), mass(0.8, 50)), (mass(),), "a"),  # right, false
        image((mass(0.6), mass(0.7, 50)), (mass(), mass(at=100)), "b"),  # right, false, one missed
        image((mass(0.95, 50),), (), "c"),  # false on a negative
        image((), (), "d"),
    ]
    found = scored("detection", *rows)
    # By falling score: .95 false, .9 right, .8 false, .7 false, .6 right; 3 masses, 4 images.
    # At most 1/8 x 4 = .5 false boxes: none is right yet. 1/4 x 4 = 1 and 1/2 x 4 = 2: 1 of 3.
    # 1 x 4 = 4 and beyond: 2 of 3. CPM = (0 + 1/3 + 1/3 + 4 x 2/3) / 7 = 10/21
    assert found["detection.froc_0.125"] == 0
    assert found["detection.froc_0.25"] == found["detection.froc_0.5"] == pytest.approx(1 / 3)
    assert found["detection.froc_1"] == found["detection.froc_8"] == pytest.approx(2 / 3)
    assert found["detection.cpm"] == pytest.approx(10 / 21)


def test_froc_shows_equal_scores_together(scored):
    rows = [image((mass(0.5), *(mass(0.5, 50 * k) for k in (1, 2))), (mass(),), "a")]
    found = scored("detection", *rows)
    # The right box is shown with two false ones in one image, never before them.
    assert [found[f"detection.froc_{k}"] for k in (1, 2)] == [0, 1]


def test_wafroc_by_hand(scored):
    rows = [
        image((mass(0.9), mass(0.4, 100)), (mass(), mass(at=100)), "two"),
        image((mass(0.6),), (mass(),), "one"),
        image((), (mass(),), "missed"),
        image((mass(0.5, 50), mass(0.1, 90)), (), "alarm"),
        image((), (), "quiet"),
    ]
    found = scored("detection", *rows)
    # Against "alarm" (.5): two = 1/2 [.9 > .5] + 1/2 x 0, one = 1, missed = 0: 1.5
    # Against "quiet" (-inf): two = 1, one = 1, missed = 1/2 (a tie): 2.5
    # (1.5 + 2.5) / (2 negatives x 3 positives) = 2/3
    assert found["detection.wafroc"] == pytest.approx(2 / 3)
    # Surest boxes .9, .6, none against .5, none: 1 + 1 + 0 + 1 + 1 + 1/2 of 6
    assert found["detection.auroc"] == pytest.approx(4.5 / 6)


@given(
    k=st.integers(1, 20),
    alarms=st.lists(st.integers(0, 3), min_size=20, max_size=20),
    false=st.integers(0, 5),
)
@settings(max_examples=20, deadline=None)
def test_k_finding_free_cases_change_false_alarms_as_derived(k, alarms, false):
    found = image((mass(0.9), *(mass(0.9, 20 + 20 * j) for j in range(false))), (mass(),), "m")
    quiet = [
        image(tuple(mass(0.9, 20 * j) for j in range(alarms[i])), (), str(i)) for i in range(k)
    ]
    before = overall([found, image((), (), "n")])
    after = overall([found, image((), (), "n"), *quiet])
    more = sum(alarms[:k])
    # per image: f / 2 becomes (f + g) / (2 + k); per negative image: 0 / 1 becomes g / (1 + k)
    assert before["detection.false_boxes"] == pytest.approx(false / 2)
    assert after["detection.false_boxes"] == pytest.approx((false + more) / (2 + k))
    assert after["detection.false_alarms"] == pytest.approx(more / (1 + k))
    assert after["detection.recall"] == before["detection.recall"]


def overall(rows):
    metric = Detection()
    values = metric.aggregate(metric.measure(rows), np.ones((1, len(rows))))
    return {name: float(value[0]) for name, value in values.items()}


def test_without_negatives_what_needs_them_is_not_measured_and_says_why():
    evaluation = evaluate([image((mass(0.9),), (mass(),))], ["detection"], resamples=0)
    for name in ("specificity", "auroc", "wafroc", "false_alarms"):
        score = evaluation.score(f"detection.{name}")
        assert evaluation.in_words(score) == "not measured: no negatives"
    assert evaluation.score("detection.false_boxes").value == 0
    assert evaluation.score("detection.cpm").value == 1


def test_an_answer_no_is_never_a_negative():
    rows = [
        Prediction(str(i), Answer(boxes=()), question=q, references=(Answer(text="no"),))
        for i, q in enumerate(("Is this normal?", "Is there a tumour?"))
    ]
    evaluation = evaluate(rows, ["detection"], resamples=0)
    assert not any(score.measured for score in evaluation.overall())


def test_a_class_that_no_reference_has_is_a_false_box(scored):
    rows = [image((mass(0.9, label="cyst"),), (mass(),), "a"), image((), (), "b")]
    found = scored("detection", *rows)
    assert found["detection.false_boxes"] == 1 / 2
    assert found["detection.cpm"] == found["detection.wafroc"] - 0.5 == 0


def test_each_prediction_is_judged_at_its_own_operating_point(scored):
    row = image((mass(0.3),), (mass(),))
    assert scored("detection", row)["detection.recall"] == 0  # .5 where none was chosen
    chosen = replace(row, operating_point=0.25)
    assert scored("detection", chosen)["detection.recall"] == 1
    assert scored({"detection": {"confidence": 0.4}}, chosen)["detection.recall"] == 0
    assert Prediction.from_row(chosen.to_row()) == chosen


def test_calibration_error_by_hand(scored):
    rows = [image((mass(0.9), mass(0.9, 50), mass(0.6, 90), mass(0.2, 130)), (mass(),))]
    # Shown from .5: in the bin of .9 |.9 - 1 + .9 - 0| = .8, in that of .6 |.6| = .6, of 3 boxes.
    assert scored("detection", *rows)["detection.ece"] == pytest.approx(1.4 / 3)


def test_boxes_in_a_crowd_are_neither_right_nor_wrong(scored):
    crowd = Box(0, 0, 100, 100, "mass", crowd=True)
    rows = [image((mass(0.9), mass(0.8, 30)), (crowd,), "a"), image((), (), "b")]
    found = scored("detection", *rows)
    assert found["detection.false_boxes"] == 0
    assert np.isnan(found["detection.map"])
    assert found["detection.specificity"] == 1  # a picture with a crowd is no negative
