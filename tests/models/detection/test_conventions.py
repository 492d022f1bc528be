"""The proof of conventions, over every detector of the registry: numbers, places, turns, sides."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from hostile import scan, written
from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.data.convert import convert
from vesalius.data.open import open_dataset
from vesalius.models import Lesson, models
from vesalius.models.build import build
from vesalius.models.detection.answering import BoxAnswers
from vesalius.models.detection.batches import collate
from vesalius.models.detection.box_classes import BoxClasses
from vesalius.models.detection.framing import BLACK, UNIT
from vesalius.models.detection.settings import Augmentation
from vesalius.recipe import Data, Decoding, Recipe
from vesalius.run import Run

STEP = {"max_steps": 1, "batch": 3}
BLOCKS: dict[str, dict[str, Any]] = {
    "detr": {"size": "tiny", "training": STEP},
    "nanodet": {"size": "tiny", "image_size": 64, "training": STEP},
    "yolo": {"tiny": True, "image_size": 64, "training": STEP},
}
SIDES = ("left lung", "right lung")
SIZES = [(160, 40), (40, 160), (96, 96), (120, 50)]
"""From 4:1 to 1:4."""
STILL = Augmentation(flip=0.0, scale=0.0, brightness=0.0)


def learner(name: str) -> Any:
    if name == "yolo":
        pytest.importorskip("ultralytics", reason="the extra yolo is not installed")
    return build({"name": name, **BLOCKS[name]})


def test_every_detector_of_the_registry_is_here() -> None:
    own = {name for name, entry in models._own.items() if entry.startswith("vesalius.models.detec")}
    assert own == set(BLOCKS)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def lit(size: tuple[int, int], box: Box) -> np.ndarray:
    """A black picture (height, width), white where the box is."""
    values = np.zeros(size[::-1], np.uint8)
    values[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = 255
    return values


def asked(content: bytes, *boxes: Box, number: int = 0) -> Dialogue:
    question = Question("where?", answers=(Answer(boxes=boxes),))
    turn = Turn(question, (Picture(f"p{number}", lambda: content),))
    return Dialogue(f"d{number}", (turn,), f"g{number}")


def turned(values: np.ndarray) -> bytes:
    """Stored lying on its side, upright by EXIF."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise by a quarter
    stored = Image.fromarray(np.rot90(values))
    return encoded(stored.convert("RGB"), "JPEG", exif=exif, quality=100)


def deep(values: np.ndarray) -> bytes:
    return encoded(Image.fromarray(values.astype(np.uint16) * 200))


FORMS = {
    "png": lambda values: encoded(Image.fromarray(values)),
    "turned by EXIF": turned,
    "16 bits": deep,
    "DICOM": lambda values: written(scan(values.astype(np.uint16) * 200)),
}


def untrained(name: str, dialogues: list[Dialogue]) -> BoxAnswers:
    """The detector's way in and out, in plain pixels: what is white can be looked for."""
    _, model, _ = learner(name)._prepared(dialogues, [], 0)
    return replace(model, framing=replace(model.framing, fill=0, mean=BLACK, std=UNIT))


@pytest.mark.parametrize("name", BLOCKS)
def test_boxes_lie_on_what_they_mark_in_pictures_of_every_kind_and_aspect(name: str) -> None:
    """Still, and with everything changed: mirrored, smaller, darker. Sides change in words, too."""
    boxes = {size: Box(size[0] // 4, size[1] // 4, size[0] // 4, size[1] // 2, SIDES[0])
             for size in SIZES}  # fmt: skip
    other = asked(FORMS["png"](lit((64, 64), Box(1, 1, 9, 9, ""))), Box(1, 1, 9, 9, SIDES[1]))
    model = untrained(name, [asked(b"", boxes[SIZES[0]]), other])
    changed = Augmentation(flip=1.0, scale=0.3, brightness=0.2)
    for form in FORMS.values():
        for size, box in boxes.items():
            one = asked(form(lit(size, box)), box)
            assert one.pictures[0].size() == size
            for draws, augmentation in (([0.5] * 3, STILL), ([0.0, 0.0, 0.0], changed)):
                batch = collate([one], [draws], model=model, changed=augmentation)
                mirrored = augmentation is changed
                (label,) = batch["labels"][0]["class_labels"].tolist()
                assert model.classes.names[label] == SIDES[mirrored]
                assert where(batch) == pytest.approx(white(batch), abs=1.0)


def white(batch: Mapping[str, Any]) -> tuple[float, ...]:
    """The corners of what is white in a batch's only picture, in pixels of the input."""
    values = batch["pixel_values"][0].amax(0)
    rows, columns = np.nonzero((values > 0.5 * values.max()).numpy())
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def where(batch: Mapping[str, Any]) -> tuple[float, ...]:
    """The corners of its only box."""
    ((x, y, width, height),) = (
        batch["labels"][0]["boxes"] * batch["pixel_values"].shape[-1]
    ).tolist()
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("size", SIZES)
def test_what_a_detector_learns_comes_back_by_name_to_a_pixel(
    name: str, size: tuple[int, int]
) -> None:
    """A network that gives what it was to learn answers the reference's own boxes."""
    width, height = size
    boxes = (
        Box(0, 0, width, height, "mass"),
        Box(0.3 * width, 0.6 * height, 0.25 * width, 0.3 * height, "cyst"),
        Box(width - 9.5, height - 8.25, 9.5, 8.25, "mass"),
    )
    one = asked(FORMS["png"](lit(size, boxes[1])), *boxes)
    model = untrained(name, [one])
    batch = collate([one], [[0.5] * 3], model=model, changed=STILL)
    labels, side = batch["labels"][0], batch["pixel_values"].shape[-1]
    middle, extent = labels["boxes"][:, :2] * side, labels["boxes"][:, 2:] * side
    corners = torch.cat((middle - extent / 2, middle + extent / 2), dim=1)
    sure = torch.tensor([0.9, 0.8, 0.7])[:, None]
    scores = sure * torch.nn.functional.one_hot(labels["class_labels"], len(model.classes.names))
    place = model.framing.place(size)
    found = [box for box in model.boxes(corners, scores, place) if (box.score or 0) > 0]
    assert [box.label for box in found] == [box.label for box in boxes]
    for box, wanted in zip(found, boxes, strict=True):
        ends = (box.x, box.y, box.x + box.width, box.y + box.height)
        theirs = (wanted.x, wanted.y, wanted.x + wanted.width, wanted.y + wanted.height)
        assert ends == pytest.approx(theirs, abs=1.0)


def in_files(root: Path) -> dict[str, list[Dialogue]]:
    """Four pictures with two classes, written with other numbers and names, and read again."""
    rows = []
    for number, size in enumerate(SIZES):
        box = Box(size[0] // 8, size[1] // 8, size[0] // 2, size[1] // 2, SIDES[number % 2])
        (root / f"{number}.png").write_bytes(FORMS["png"](lit(size, box)))
        bbox = [box.x, box.y, box.width, box.height]
        rows.append({"id": str(number), "image": f"{number}.png",
                     "boxes": [{"bbox": bbox, "label": box.label}]})  # fmt: skip
    (root / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = open_dataset("folder", root)
    for first, second in ((0, 1), (1, 2), (7, 90)):
        classes = {SIDES[1]: first, SIDES[0]: second}  # not in the names' order
        convert(own, root / f"coco {first} {second}", "coco", classes=classes)
    for to in ("yolo", "via", "voc"):
        convert(own, root / to, to)
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    return {path.name: dialogues(path) for path in (root, *folders)}


def dialogues(root: Path) -> list[Dialogue]:
    cases = sorted(open_dataset("folder", root).cases("train"), key=lambda case: case.id)
    return [
        asked(case.pictures[0].read(), *case.boxes or (), number=number)
        for number, case in enumerate(cases)
    ]


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Dialogue]]:
    read = in_files(tmp_path_factory.mktemp("sets"))
    assert len(read) == 7
    return read


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_learnt_is_equal_by_name_whatever_the_numbers_in_the_files(
    name: str, sets: dict[str, list[Dialogue]]
) -> None:
    model = untrained(name, next(iter(sets.values())))
    batches = []
    for train in sets.values():
        assert BoxClasses.of(train) == model.classes == BoxClasses(SIDES)
        batches.append(collate(train, [[0.5] * 3] * 4, model=model, changed=STILL)["labels"])
    for labels in batches[1:]:
        for one, other in zip(labels, batches[0], strict=True):
            assert one["class_labels"].tolist() == other["class_labels"].tolist()
            assert torch.allclose(one["boxes"], other["boxes"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_predictions_are_equal_by_name_whatever_the_numbers_in_the_files(
    name: str, sets: dict[str, list[Dialogue]], tmp_path: Path
) -> None:
    first: list[Box] | None = None
    for number, train in enumerate(sets.values()):
        recipe = Recipe(name=name, data=Data(dataset="none"), model={"name": name, **BLOCKS[name]})
        run = Run.create(tmp_path / f"run{number}", recipe)
        learner(name).fit(Lesson(train, train[:2]), run)
        (answer,) = learner(name).load(run).predict(train[:1], Decoding())
        surest = list(answer.answer.boxes or ())[:5]
        first = first or surest
        assert surest
        for box, other in zip(surest, first, strict=True):
            assert box.label == other.label
            assert (box.x, box.y, box.width, box.height, box.score) == pytest.approx(
                (other.x, other.y, other.width, other.height, other.score), abs=1e-3
            )
