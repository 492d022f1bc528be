"""What detectors share, on the smallest of them: classes by name, negatives, what is chosen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.models.detection.batches import Batches, batches_before, collate
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import Framing
from vesalius.models.detection.learner import TABLE
from vesalius.models.detection.settings import Augmentation, DetectorTraining
from vesalius.recipe import Data, Decoding, Recipe
from vesalius.run import Run
from vesalius.system.files import read_json, write_json

Make = Callable[..., Any]
BLOCK = {"name": "detr", "architecture": "rf_detr", "size": "tiny",
         "training": {"max_steps": 2, "batch": 4}}  # fmt: skip
STILL = Augmentation(flip=0.0, scale=0.0, brightness=0.0)


@pytest.fixture(scope="module")
def pictured(draw: Make) -> list[Dialogue]:
    """Discs that are boxed, and every third picture without anything in it."""
    dialogues = []
    for number in range(6):
        size = 20 + 4 * number
        box = Box(48 - size / 2, 32 - size / 2, size, size, "disc")
        answer = Answer(boxes=(box,) if number % 3 else ())
        picture = draw(f"p{number}", size=size, shade=255 if number % 3 else 0)
        question = Question("where?", answers=(answer,))
        dialogues.append(Dialogue(f"d{number}", (Turn(question, (picture,)),), f"g{number}"))
    return dialogues


def referring(dialogue: Dialogue, boxes: tuple[Box, ...] | None) -> Dialogue:
    answer = Answer(text="?") if boxes is None else Answer(boxes=boxes)
    turn = replace(dialogue.turns[0], question=Question("where?", answers=(answer,)))
    return replace(dialogue, turns=(turn,))


@pytest.fixture(scope="module")
def fitted(pictured: list[Dialogue], tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = Recipe(name="detr", data=Data(dataset="none"), model=BLOCK)
    run = Run.create(tmp_path_factory.mktemp("fitted") / "run", recipe)
    build(BLOCK).fit(Lesson(pictured, pictured[:3]), run)
    return run


def test_what_is_noted_of_the_pictures(pictured: list[Dialogue], new_run: Make) -> None:
    run = new_run("detr")
    unknown = referring(pictured[1], (Box(1, 1, 5, 5, "cyst"),))
    missing = referring(pictured[4], None)
    build(BLOCK).fit(Lesson([*pictured[:4], missing], [unknown]), run)
    status = run.status()
    assert (status["positives"], status["negatives"], status["not_annotated"]) == (2, 2, 1)
    assert status["classes"] == ["disc"]
    assert status["unknown_validation_boxes"] == 1
    assert status["steps"] == 2


def test_a_missing_label_is_no_negative(pictured: list[Dialogue]) -> None:
    """Trap: an image without a label got an invented box; nor is it a picture of nothing."""
    missing, negative = referring(pictured[0], None), referring(pictured[1], ())
    model = build(BLOCK)._prepared([pictured[1], negative, missing], [], 0)  # type: ignore[attr-defined]
    assert [d.turns[0].question.answers[0].boxes is None for d in model[0]] == [False, False]
    assert model[2]["not_annotated"] == 1


def test_no_finding_is_no_class(pictured: list[Dialogue]) -> None:
    """Trap: "no tumour" treated as a class of boxes."""
    assert BoxClasses.of(pictured).names == ("disc",)
    with pytest.raises(ModelError, match=r"no training dialogue has a box"):
        BoxClasses.of([referring(one, ()) for one in pictured])


def test_a_batch_changes_boxes_with_its_pictures(pictured: list[Dialogue]) -> None:
    _, model, _ = build(BLOCK)._prepared(pictured, [], 0)  # type: ignore[attr-defined]
    model = replace(model, framing=Framing(64))
    batch = collate(pictured[:2], [[0.5, 0.5, 0.5]] * 2, model=model, changed=STILL)
    assert batch["pixel_values"].shape == (2, 3, 64, 64)
    assert [len(one["class_labels"]) for one in batch["labels"]] == [0, 1]
    # 96 x 64 pixels into 64 x 64: 2/3 of them, 10 grey rows above (21 / 2); the disc of 24 pixels
    # lies in the middle: 16 of 64 pixels.
    assert batch["labels"][1]["boxes"][0].tolist() == pytest.approx(
        [0.5, 0.5, 0.25, 0.25], abs=0.01
    )
    assert batch["ids"] == ["d0", "d1"]


def test_boxes_come_surest_first_in_pixels_of_the_picture(
    pictured: list[Dialogue], fitted: Run
) -> None:
    answers = build(BLOCK).load(fitted).predict(pictured, Decoding(batch=2))
    for answer in answers:
        boxes = answer.answer.boxes or ()
        assert 0 < len(boxes) <= 12
        assert all(b.x >= 0 and b.x + b.width <= 96 and b.y + b.height <= 64 for b in boxes)
        scores = [box.score for box in boxes]
        assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]
        assert answer.confidence is not None
        assert answer.confidence.value == scores[0]


def test_reference_boxes_of_classes_that_were_not_learnt_are_counted(
    pictured: list[Dialogue], fitted: Run
) -> None:
    def renamed(label: str) -> Dialogue:
        crowd = Box(1, 2, 90, 60, "many", crowd=True)
        return referring(pictured[0], (Box(1, 2, 30, 30, label), crowd))

    model = build(BLOCK).load(fitted)
    known, other = model.predict([renamed("disc"), renamed("Disc")], Decoding())
    assert known.notes is None
    assert other.notes == {"boxes_of_classes_not_learnt": 1}


def test_boxes_are_those_of_the_plain_library_in_their_pixels(
    pictured: list[Dialogue], fitted: Run, tmp_path: Path
) -> None:
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    learner: Any = build(BLOCK)
    learner.write(fitted, tmp_path / "out", merge=True)
    network = AutoModelForObjectDetection.from_pretrained(tmp_path / "out").eval()
    assert network.config.id2label == {0: "disc"}
    processor = AutoImageProcessor.from_pretrained(tmp_path / "out")
    image = pictured[1].pictures[0].pixels()
    with torch.inference_mode():
        output = network(**processor(images=image, return_tensors="pt"))
    (plain,) = processor.post_process_object_detection(output, 0.0, torch.tensor([(64, 96)]))
    (ours,) = learner.read(fitted, tmp_path / "out").predict(pictured[1:2], Decoding())
    box, (left, top, right, bottom) = ours.answer.boxes[0], plain["boxes"][0].tolist()
    whole = Box(left, top, right - left, bottom - top, "disc")
    cut = (max(0.0, left), max(0.0, top), min(96.0, right), min(64.0, bottom))
    assert (box.x, box.y, box.x + box.width, box.y + box.height) == pytest.approx(cut, abs=1.0)
    assert whole.width > 0


def test_the_point_and_the_calibration_are_part_of_the_run(fitted: Run, tmp_path: Path) -> None:
    fitted = Run.open(shutil.copytree(fitted.path, tmp_path / "copy"))
    table = read_json(fitted.weights / TABLE)
    assert table["operating_point"] == fitted.status()["operating_point"]
    assert "on validation" in table["operating_point"]["aim"]
    assert table["classes"] == ["disc"]
    write_json(fitted.weights / TABLE, {**table, "classes": None})
    with pytest.raises(RunError, match="not a detector's table"):
        build(BLOCK).load(fitted)


def test_the_same_seed_gives_the_same_detector(
    pictured: list[Dialogue], fitted: Run, tmp_path: Path
) -> None:
    again = Run.create(tmp_path / "again", fitted.recipe())
    build(BLOCK).fit(Lesson(pictured, pictured[:3]), again)
    one, other = (build(BLOCK).load(run) for run in (fitted, again))
    pairs = zip(one.network.parameters(), other.network.parameters(), strict=True)  # type: ignore[attr-defined]
    assert all(torch.equal(first, second) for first, second in pairs)


def test_a_side_that_the_network_cannot_have_is_refused_before_any_work(
    pictured: list[Dialogue],
) -> None:
    with pytest.raises(RecipeError, match=r"72 is no multiple of 32.*for example 64"):
        build({**BLOCK, "image_size": 72})._prepared(pictured, [], 0)  # type: ignore[attr-defined]


def test_how_pictures_are_changed_hangs_on_seed_and_batch(pictured: list[Dialogue]) -> None:
    _, model, _ = build(BLOCK)._prepared(pictured, [], 0)  # type: ignore[attr-defined]
    first = Batches(model, Augmentation(), 1, 0)
    one, two = first(pictured[1:3]), first(pictured[1:3])
    again = Batches(model, Augmentation(), 1, 1)(pictured[1:3])
    assert torch.equal(two["pixel_values"], again["pixel_values"])
    assert not torch.equal(one["pixel_values"], two["pixel_values"])


def test_batches_before_a_step() -> None:
    # 7 pictures in batches of 2: 4 an epoch, 2 steps of at most 3 batches; 3 steps are 4 + 3.
    training = DetectorTraining(batch=2, accumulate=3)
    assert [batches_before(step, 7, training) for step in range(5)] == [0, 3, 4, 7, 8]


@pytest.mark.slow
def test_a_killed_fit_goes_on_to_the_same_detector(
    pictured: list[Dialogue], new_run: Make, tmp_path: Path
) -> None:
    """Also where pictures are changed: what is drawn for them goes on, too."""
    training = {"max_steps": 6, "batch": 2, "checkpoint_steps": 2}  # three steps an epoch
    learner: Any = build({**BLOCK, "training": training})
    whole = new_run("detr")
    learner.fit(Lesson(pictured, pictured[:3]), whole)
    killed = Run.open(shutil.copytree(whole.path, tmp_path / "killed"))
    shutil.rmtree(killed.path / "checkpoints" / "checkpoint-6")
    shutil.rmtree(killed.weights)
    learner.fit(Lesson(pictured, pictured[:3]), killed)
    one, other = (learner.load(run).network.state_dict() for run in (whole, killed))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
