"""Changes of a case: what each does, what it leaves as it is, and what it cannot be made of."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from scans import scan, written

from vesalius.cases.case import Answer, Box, Case, Question
from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.data.open import open_dataset
from vesalius.data.perturb import CHANGES, change_of
from vesalius.data.perturb.pictures import GREY, darkest, farthest
from vesalius.data.perturb.stock import Stock
from vesalius.errors import UnknownName


def png(width: int = 60, height: int = 40, seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def case(number: int = 1, *questions: Question, **fields: object) -> Case:
    picture = Picture(f"{number}.png", partial(png, seed=number))
    whole = Case(f"c{number}", f"patient-{number}", (picture,), questions or (ask("Which?", "x"),))
    return replace(whole, **fields)


def ask(text: str, *answers: str, **fields: object) -> Question:
    return Question(text, answers=tuple(map(Answer, answers)), **fields)  # type: ignore[arg-type]


def under(name: str, one: Case, others: Sequence[Case] = (), seed: int = 0) -> list[Case]:
    return list(change_of(name).applied(one, Stock(lambda: [one, *others], seed)))


def only(name: str, one: Case, others: Sequence[Case] = ()) -> Case:
    (changed,) = under(name, one, others)
    return changed


def pixels(one: Case) -> np.ndarray:
    return np.asarray(one.pictures[0].pixels())


def phantoms() -> Iterator[Case]:
    return open_dataset("phantom", options={"cases": {"test": 6}, "size": 48}).cases("test")


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_says_what_it_is_and_follows_its_seed(name: str) -> None:
    row = CHANGES[name]
    assert row.what
    assert "{share}" in row.sentence
    cases = list(phantoms())
    stocks = [Stock(phantoms, seed) for seed in (3, 3)]
    for one in cases:
        first, second = (list(row.applied(one, stock)) for stock in stocks)
        assert first == second
        asked = dict(zip(one.question_ids(), one.questions, strict=True))
        for changed in first:
            assert (changed.id, changed.group) == (one.id, one.group)
            assert set(changed.question_ids()) <= set(asked)
            for a, b in zip(changed.pictures, one.pictures, strict=False):
                assert a.pixels().size == b.pixels().size


def test_an_unknown_change_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match="did you mean mirrored"):
        change_of("mirorred")


def test_grey_and_noise() -> None:
    one = case()
    assert {tuple(p) for p in pixels(only("blank", one)).reshape(-1, 3)} == {GREY}
    noise, other = only("noise", one), only("noise", case(2))
    assert noise.pictures[0].key != other.pictures[0].key
    assert (pixels(noise) != pixels(other)).any()
    assert abs(pixels(noise).mean() - 127.5) < 5


def test_a_shuffled_picture_is_of_another_patient() -> None:
    same = [replace(case(number), group="patient-1") for number in (2, 3)]
    assert under("shuffled", case(), same) == []
    shown = {only("shuffled", case(), [*same, case(4)]).pictures[0].key}
    assert shown == {"4.png"}
    three = case(pictures=case().pictures * 3)  # as many pictures as before
    assert len(only("shuffled", three, [case(4)]).pictures) == 3


def test_another_organ_is_one_that_the_set_knows_to_differ() -> None:
    mri, ct = case(1, modality="MRI"), case(2, modality="ct")
    assert under("other-organ", mri, [case(3), replace(case(4), modality="mri")]) == []
    assert only("other-organ", mri, [case(3), ct]).pictures[0].key == "2.png"
    lung = case(5, ask("What organ is this?", "lung", category="organ"))
    skull = case(6, ask("What organ is this?", "skull", category="Organ"))
    assert only("other-organ", lung, [case(3), skull]).pictures[0].key == "6.png"
    assert under("other-organ", case(7), [mri, ct]) == []  # nothing is known of its own


def test_boxes_left_alone_and_covered() -> None:
    one = case(boxes=(Box(10, 5, 20, 10, "mass"),))
    left, covered, before = (
        pixels(c) for c in (only("inside-box", one), only("outside-box", one), one)
    )
    inside = np.zeros(before.shape[:2], dtype=bool)
    inside[5:15, 10:30] = True
    assert (left[inside] == before[inside]).all()
    assert (left[~inside] == GREY[0]).all()
    assert (covered[~inside] == before[~inside]).all()
    assert (covered[inside] == GREY[0]).all()
    for without in (None, ()):
        assert under("inside-box", case(boxes=without)) == []
    two = replace(one, pictures=one.pictures * 2)  # in which of them the boxes lie is not known
    assert under("outside-box", two) == []


def test_low_resolution_and_wrong_window() -> None:
    one = case()
    before, coarse, bright = (
        pixels(c).astype(int) for c in (one, only("low-resolution", one), only("wrong-window", one))
    )
    assert np.abs(np.diff(coarse, axis=1)).mean() < np.abs(np.diff(before, axis=1)).mean() / 4
    assert (bright == np.minimum(255, 4 * before)).all()


def of_dicom(modality: str, **fields: object) -> Case:
    """A case of a scan whose values go from -1000 to 1559, shown from -10 to 90."""
    values = np.arange(40 * 64, dtype=np.uint16).reshape(40, 64)
    more = {"RescaleSlope": 1, "RescaleIntercept": -1000, "WindowCenter": 40, "WindowWidth": 100}
    data = written(scan(values, Modality=modality, **more | fields))
    return case(pictures=(Picture("scan.dcm", lambda: data),))


def test_a_wrong_window_of_a_ct_shows_other_values_than_its_own() -> None:
    """Of (-10, 90) bone, (-500, 1300), shares 100 of 1,800, lung 100 of 1,500, the others more."""
    one = of_dicom("CT")
    own, changed = pixels(one), only("wrong-window", one)
    assert own.min() == 0
    assert own.max() == 255
    bone = one.pictures[0].at(View(window=(400.0, 1800.0)))
    assert (pixels(changed) == np.asarray(bone.pixels())).all()
    assert farthest((-500.0, 1300.0)) == (40.0, 80.0)  # from bone the brain: 80 of 1,800


def test_a_wrong_window_of_another_scan_is_the_darkest_quarter_of_its_values() -> None:
    one = of_dicom("MR")
    quarter = one.pictures[0].at(View(window=darkest((-10.0, 90.0))))
    assert darkest((-10.0, 90.0)) == (2.5, 25.0)
    assert (pixels(only("wrong-window", one)) == np.asarray(quarter.pixels())).all()


def test_a_mirrored_side_changes_picture_reference_and_boxes() -> None:
    box = Box(10, 5, 20, 10, "mass", polygon=((10, 5), (30, 5), (30, 15)))
    question = ask("Left or right?", "Left lung", options=("left", "right"))
    changed = only("mirrored", case(1, question, boxes=(box,)))
    assert (pixels(changed) == pixels(case())[:, ::-1]).all()
    (asked,) = changed.questions
    assert asked.answers == (Answer("Right lung"),)
    assert (asked.text, asked.options) == ("Left or right?", ("left", "right"))
    assert changed.boxes == (Box(30, 5, 20, 10, "mass", polygon=((50, 5), (30, 5), (30, 15))),)
    named = only("mirrored", case(1, ask("What is in the left lung?", "left hilar mass")))
    assert named.questions[0].text == "What is in the right lung?"


@pytest.mark.parametrize("answer", ["both", "left and right", "bilateral", "mass", "yes"])
def test_what_names_no_one_side_is_not_asked_mirrored(answer: str) -> None:
    assert under("mirrored", case(1, ask("Where?", answer))) == []


def test_wrong_answers_are_of_the_right_kind() -> None:
    stock = Stock(
        lambda: [
            case(1, ask("a", "Lung", "lungs", category="organ")),
            case(
                2,
                ask("b", "skull.", category="organ"),
                ask("c", "mri", category="modality"),
                ask("d", "no", category="organ"),
            ),
        ]
    )

    def wrong(question: Question) -> str | None:
        return stock.wrong_answer(question, stock.draws("test", "key"))

    assert wrong(ask("?", "yes")) == "no"
    assert wrong(ask("?", "No.")) == "yes"
    assert wrong(ask("?", "A", options=("A. mass", "B. cyst"))) == "B. cyst"
    assert wrong(ask("?", "tumour", options=("A. mass", "B. cyst"))) is None  # which is right?
    assert wrong(ask("?", "LUNG", category="organ")) in {"lungs", "skull."}
    assert wrong(ask("?", "lung", "lungs", category="organ")) == "skull."
    assert wrong(ask("?", "mri", category="modality")) is None  # there is no other
    assert wrong(ask("?", category="organ")) is None  # no reference


def test_a_wrong_answer_is_burned_into_each_questions_own_picture() -> None:
    one = case(1, ask("a", "yes"), ask("b", "no"), ask("c", "unknown to the set"))
    first, second = under("burned-in-text", one)
    assert (first.question_ids(), second.question_ids()) == (["1"], ["2"])
    assert first.pictures[0].key != second.pictures[0].key
    before, after = pixels(one), pixels(first)
    changed = (before != after).any(axis=2)
    assert changed[:8].any()
    assert not changed[20:].any()
    assert (after[:12] > 150).all(axis=2).any()  # white on black
    assert (after[:8] == 0).all(axis=2).mean() > 0.5
    long = ask("d", "yes", options=("yes", "no, " + "very " * 30))
    assert pixels(only("burned-in-text", case(2, long))).shape == before.shape


def test_assertions_name_the_same_wrong_answer_whoever_makes_them() -> None:
    one = case(1, ask("Is it normal?", "yes"))
    texts = {
        by: only(f"asserted-{by}", one).questions[0] for by in ("authority", "majority", "friend")
    }
    assert len({q.text for q in texts.values()}) == 3
    for question in texts.values():
        assert question.text.endswith('the answer is "no". Is it normal?')
        assert question.answers == (Answer("yes"),)
    assert only("asserted-friend", one).pictures == one.pictures  # the prefix can be shared


def test_words_around_a_question_leave_its_words_and_picture() -> None:
    one = case(1, ask("Which {plane}?", "axial"))
    for name in ("reworded", "irrelevant-history"):
        changed = only(name, one)
        assert "Which {plane}?" in changed.questions[0].text != "Which {plane}?"
        assert changed.pictures == one.pictures
        assert under(name, case(1, ask("这是什么?", "CT", language="zh"))) == []


def test_options_change_places_and_labels_stay() -> None:
    labelled = ask("What is it? A. mass B. cyst", "A", options=("A. mass", "B. cyst"))
    (moved,) = only("options-reordered", case(1, labelled)).questions
    assert moved.text == "What is it? A. cyst B. mass"
    assert moved.options == ("A. cyst", "B. mass")
    assert moved.answers == (Answer("B"),)
    full = replace(labelled, answers=(Answer("A. mass"), Answer("mass")))
    (moved,) = only("options-reordered", case(1, full)).questions
    assert moved.answers == (Answer("B. mass"), Answer("mass"))
    worded = ask("Is it left or right?", "left", options=("left", "right"))
    (moved,) = only("options-reordered", case(1, worded)).questions
    assert (moved.text, moved.options) == ("Is it right or left?", ("right", "left"))
    assert moved.answers == (Answer("left"),)


@pytest.mark.parametrize(
    "question",
    [
        ask("Which?", "left", options=("left", "right")),  # states none of them
        ask("A: a mass; B: a cyst?", "A", options=("A", "B")),  # letters alone
        ask("Left, left or right?", "left", options=("left", "right")),
        ask("Which?", "left"),
    ],
)
def test_options_that_cannot_be_moved(question: Question) -> None:
    assert under("options-reordered", case(1, question)) == []


def test_another_language_is_the_question_of_the_same_id() -> None:
    questions = (
        ask("What is it?", "CT", id="7-en"),
        ask("这是什么?", "CT扫描", id="7-zh", language="zh"),
        ask("Which plane?", "axial", id="8-en"),
    )
    one = case(1, *questions)
    first, second = under("other-language", one)
    assert first.question_ids() == ["7-en"]
    assert (first.questions[0].text, first.questions[0].language) == ("这是什么?", "zh")
    assert first.questions[0].answers == (Answer("CT扫描"),)
    assert second.questions[0].text == "What is it?"


def test_questions_only_have_no_picture() -> None:
    one = Case(
        "c",
        "g",
        (*case(1).pictures, *case(2).pictures),
        (ask("a", "x", shows=(0,)), ask("b", "y", shows=(1,))),
    )
    changed = only("questions-only", one)
    assert changed.pictures == ()
    assert [q.text for q in changed.questions] == ["a", "b"]
    apart = under("reworded", one)
    assert [len(c.pictures) for c in apart] == [1, 2]  # those that are shown until it is asked
