"""Average precision equal to COCO's own evaluation; presence per image beside it."""

import contextlib
import io

import numpy as np
import pytest

from vesalius.cases.case import Answer, Box
from vesalius.cases.prediction import Prediction


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
        "images": [{"id": i, "width": 100, "height": 100} for i in range(len(rows))],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {
                "id": k + 1,
                "image_id": i,
                "category_id": "ab".index(b.label) + 1,
                "iscrowd": 0,
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
