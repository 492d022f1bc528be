from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.models.capabilities import Neighboured
from vesalius.recipe import Data, Decoding, Recipe
from vesalius.run import Run

torch.set_num_threads(1)
PLANE, ORGAN = "in which plane is the image?", "what organ is shown?"
BLOCK = {"name": "nearest"}


def picture(key: str, discs: int, size: int = 20) -> Picture:
    """Discs in a grain of the picture's own, by which it is no other one saved again."""
    rng = np.random.default_rng(list(key.encode()))
    grain = rng.integers(0, 70, (32, 32), dtype=np.uint8)
    image = Image.fromarray(grain).resize((96, 96)).convert("RGB")
    for n in range(discs):
        ImageDraw.Draw(image).ellipse((10 + 26 * n, 30, 10 + 26 * n + size, 60), fill="white")
    file = BytesIO()
    image.save(file, "PNG")
    content = file.getvalue()
    return Picture(key, lambda: content)


def ask(case: str, question: str, answer: str | None, shown: Picture | None) -> Dialogue:
    answers = () if answer is None else (Answer(text=answer),)
    turn = Turn(Question(question, answers=answers), () if shown is None else (shown,))
    return Dialogue(f"{case}/{question}", (turn,), group=case.partition("-")[0], case=case)


ONE, ONE_TOO = picture("one", 1), picture("one too", 1, 22)
THREE = picture("three", 3)
TRAIN = [
    ask("A-1", PLANE, "axial", ONE),
    ask("A-1", ORGAN, "liver", ONE),
    ask("A-2", PLANE, "coronal", ONE_TOO),
    ask("B-1", PLANE, "sagittal", THREE),
]


def fit(folder, train=TRAIN, **settings) -> Run:
    block = BLOCK | settings
    run = Run.create(folder, Recipe(name="n", data=Data(dataset="none"), model=block))
    build(block).fit(Lesson(train), run)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return fit(tmp_path_factory.mktemp("nearest") / "run")


@pytest.fixture(scope="module")
def model(run):
    return build(BLOCK).load(run)


def test_the_nearest_picture_answers_the_nearest_question(model) -> None:
    new = picture("new", 1)
    plane, organ = model.predict(
        [ask("C", "which plane is the image in?", None, new), ask("C", ORGAN, None, new)],
        Decoding(),
    )
    assert (plane.text, organ.text) == ("axial", "liver")
    assert plane.confidence.method == "cosine similarity of the nearest image"
    assert plane.confidence.value == pytest.approx(plane.evidence[0].similarity)
    near = plane.evidence[0]
    assert (near.case, near.picture, near.text) == ("A-1", "one", "axial")
    assert model.needs_image


def test_a_neighbour_not_asked_the_like_is_passed_over(model) -> None:
    # B is nearest, but only of A was it said which organ.
    found = model.predict([ask("C", ORGAN, None, picture("new", 3))], Decoding())[0]
    assert found.text == "liver"
    assert found.evidence[0].case == "B-1"
    assert found.evidence[-1].case == "A-1"
    assert found.confidence.value == pytest.approx(found.evidence[-1].similarity)
    assert found.confidence.value < found.evidence[0].similarity


def test_its_own_patient_never_answers(model) -> None:
    found = model.predict([ask("A-9", PLANE, None, ONE)], Decoding())[0]
    assert found.text == "sagittal"
    assert {n.case for n in found.evidence} == {"B-1"}


def test_its_own_picture_never_answers(model) -> None:
    found = model.predict([ask("", PLANE, None, ONE)], Decoding())[0]
    assert found.text == "coronal"


def test_unguarded_its_own_patient_answers_and_swapped_nobody_of_it(model) -> None:
    asked = [ask("A-9", PLANE, None, ONE)]  # patient A's other picture is nearly the same
    (unguarded,) = model.with_neighbours("unguarded").predict(asked, Decoding())
    assert (unguarded.text, unguarded.evidence[0].case) == ("coronal", "A-2")
    assert isinstance(model, Neighboured)
    new = [ask("C", PLANE, None, picture("new", 1))]
    (swapped,) = model.with_neighbours("swapped").predict(new, Decoding())
    assert swapped.evidence != model.predict(new, Decoding())[0].evidence


def test_if_nobody_was_asked_the_like_the_nearest_answers(model) -> None:
    found = model.predict([ask("A-9", ORGAN, None, ONE)], Decoding())[0]
    assert found.text == "sagittal"  # all that B was asked
    far = ask("C", "who wrote the report?", None, picture("new", 3))
    found = model.predict([far], Decoding())[0]
    assert found.text == found.evidence[0].text
    assert len(found.evidence) == 3


def test_captions_are_the_nearest_picture_s(tmp_path) -> None:
    said = "Describe this image."
    train = [ask("A", said, "one disc", ONE), ask("B", said, "three discs", THREE)]
    model = build(BLOCK).load(fit(tmp_path / "run", train))
    new = [ask("C", said, None, picture("n3", 3, 21)), ask("D", said, None, picture("n1", 1, 21))]
    found = model.predict(new, Decoding())
    assert [p.text for p in found] == ["three discs", "one disc"]
    assert [len(p.evidence) for p in found] == [1, 1]


def test_loading_twice_gives_the_same(run, model) -> None:
    new = [ask("C", PLANE, None, picture("new", 2))]
    one, two = model.predict(new, Decoding()), build(BLOCK).load(run).predict(new, Decoding())
    assert [p.to_row() for p in one] == [p.to_row() for p in two]
    assert model.predict([], Decoding()) == []


def test_a_missing_picture_is_named_before_any_work(model, tmp_path) -> None:
    blind = ask("blind", PLANE, "axial", None)
    broken = ask("C", PLANE, None, Picture("broken", lambda: b""))
    with pytest.raises(ModelError, match="blind"):
        model.predict([broken, blind], Decoding())
    with pytest.raises(ModelError, match="blind"):
        fit(tmp_path / "run", [*TRAIN, blind])


def test_an_index_of_one_patient_cannot_answer_for_it(tmp_path) -> None:
    model = build(BLOCK).load(fit(tmp_path / "run", TRAIN[:3]))
    with pytest.raises(ModelError, match="A-9"):
        model.predict([ask("A-9", PLANE, None, THREE)], Decoding())


@pytest.mark.parametrize("content", ["[]", "[[], [], []]", "[1, 2, 3]", '[[["a"]]]'])
def test_what_was_said_must_belong_to_the_index(tmp_path, content) -> None:
    run = fit(tmp_path / "run")
    (run.weights / "answers.json").write_text(content)
    with pytest.raises(RunError, match=r"answers\.json"):
        build(BLOCK).load(run)


def test_answers_under_their_old_file_name_are_read(tmp_path, model) -> None:
    run = fit(tmp_path / "run")
    (run.weights / "answers.json").rename(run.weights / "said.json")
    assert build(BLOCK).load(run).answers == model.answers
