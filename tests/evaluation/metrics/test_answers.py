"""SQuAD v2 and VQA soft accuracy, with the arithmetic beside the number."""

import pytest

from vesalius.errors import DatasetError
from vesalius.evaluation.metrics.words import image_clef, squad
from vesalius.language.questions import polarity


@pytest.mark.parametrize(
    ("said", "gold", "em", "f1"),
    [
        ("The right lower lobe.", "right lower lobe", 1, 1),
        # one of two words, one of three: P 1/2, R 1/3, F1 2*1/5
        ("pleural effusion", "bilateral pleural effusions", 0, 0.4),
        # left lung lower lobe / lower lobe of left lung: 4 shared of 4 and 5, F1 8/9
        ("left lung, lower lobe", "lower lobe of the left lung", 0, 8 / 9),
        # "25 cm" against "25cm": nothing shared
        ("2.5 cm", "2.5cm", 0, 0),
        # nothing but articles: empty against a word
        ("an an the a", "anthem", 0, 0),
        ("the", "an", 1, 1),
        ("", "lung", 0, 0),
        ("heart heart heart", "heart", 0, 0.5),  # 1 of 3 and 1 of 1: 2*1/4
    ],
)
def test_squad_examples(said, gold, em, f1, prediction, scored):
    found = scored("squad", prediction(said, gold))
    assert found["squad.em"] == em
    assert found["squad.f1"] == pytest.approx(f1)


def test_squad_takes_the_best_gold_for_each_score(prediction, scored):
    # EM with the second gold; F1 likewise
    found = scored("squad", prediction("left lung", "the lung", "left lung"))
    assert (found["squad.em"], found["squad.f1"]) == (1, 1)


def test_squad_majority_is_the_commonest_reference(prediction, scored):
    rows = [prediction("x", gold, name=str(i)) for i, gold in enumerate(["CT", "ct.", "MRI"])]
    assert scored("squad", *rows)["squad.majority_em"] == pytest.approx(2 / 3)


def test_squad_majority_is_right_by_any_reference(prediction, scored):
    # references: {x, scan} {scan} {scan, CT} {MRI, ct}: always "scan" is right three times of four
    references = [("x", "scan"), ("scan",), ("Scan.", "CT"), ("MRI", "ct")]
    rows = [prediction("y", *golds, name=str(i)) for i, golds in enumerate(references)]
    assert scored("squad", *rows)["squad.majority_em"] == 3 / 4


def test_order_of_squad_normalisation():
    assert squad("T2-weighted") == "t2weighted"
    assert squad("2.5 cm") == "25 cm"


def test_image_clef_normalisation_hides_numbers():
    assert image_clef("T1-weighted, 12 mm.") == "tnumberweighted number mm"
    assert image_clef("T1-weighted") == image_clef("T2-weighted")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.", "yes"),
        ("no, it is not", "no"),
        ("Yes and no", None),
        ("The lungs are normal.", None),
        ("", None),
        ("是", "yes"),
    ],
)
def test_polarity(text, said):
    assert polarity(text) == said


def test_vqa_soft_leaves_each_annotator_out(prediction, scored):
    # 3 of 4 say "left": leaving out one who does: min(2/3, 1) three times; one who does not: 1
    row = prediction("left", "left", "left", "left", "right")
    assert scored("vqa_soft", row)["vqa_soft"] == pytest.approx((3 * 2 / 3 + 1) / 4)


def test_vqa_soft_refuses_one_annotator(prediction, scored):
    with pytest.raises(DatasetError, match="several annotators"):
        scored("vqa_soft", prediction("left", "left", name="q7"))
