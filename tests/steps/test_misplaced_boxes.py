"""A fit to boxes begins with boxes that lie in their pictures, or not at all."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from vesalius.data.box_units import misplaced
from vesalius.data.open import open_dataset
from vesalius.errors import DatasetError, VesaliusError
from vesalius.recipe import Recipe
from vesalius.steps.check import check

SIZE = (640, 480)


def write(root: Path, *rows: list[list[float]]) -> Path:
    """A set of training pictures of 640 x 480, each with boxes; and one to validate on."""
    root.mkdir(exist_ok=True)
    splits = {"train": rows, "validation": ([[100, 100, 200, 150]],)}
    for number, (split, several) in enumerate(splits.items()):
        lines = []
        for row, boxes in enumerate(several):
            image, file = Image.effect_noise(SIZE, 40), io.BytesIO()
            image.paste(9 * row + 100 * number, (0, 0, 200, 300))
            image.save(file, "PNG")
            (root / f"{split}{row}.png").write_bytes(file.getvalue())
            drawn = [{"bbox": box, "label": "cyst"} for box in boxes]
            lines.append(json.dumps({"image": f"{split}{row}.png", "boxes": drawn}))
        (root / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return root


def recipe(root: Path, task: str = "detect") -> Recipe:
    data = {"dataset": "folder", "root": str(root), "task": task, "leaks": "allow"}
    data["splits"] = {"train": "train", "validation": "validation", "test": "test"}  # type: ignore[assignment]
    return Recipe.model_validate({"name": "a", "data": data, "model": {"name": "majority"}})


SOUND: list[Any] = [[10, 10, 300, 200]]


@pytest.mark.parametrize(
    ("boxes", "fault"),
    [
        ([[600, 10, 100, 50]], r"train.jsonl row 2: train1.png: cyst .* leaves .*\(box_outside\)"),
        ([[0.1, 0.2, 0.3, 0.4]], r"train.jsonl row 2: train1.png: all .*\(box_fraction\)"),
        # Corners: 500 + 600 > 640, and a box from 500 to 600 lies in the picture.
        ([[500, 100, 600, 300]], r"train.jsonl row 2: .* leaves .*\(box_corners\)"),
        ([[10, 10, 0, 50]], r"train.jsonl row 2: not a box: .*positive size, not 0"),
    ],
)
def test_boxes_outside_of_their_pictures_stop_a_fit_before_it_begins(
    tmp_path: Path, boxes: list[list[float]], fault: str
) -> None:
    root = write(tmp_path / "data", SOUND, boxes)
    with pytest.raises(DatasetError, match=fault) as caught:
        check(recipe(root), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_how_many_there_are_is_told_with_the_first(tmp_path: Path) -> None:
    root = write(tmp_path / "data", [[600, 10, 100, 50]], SOUND, [[-9, 1, 50, 50], [1, 470, 9, 99]])
    with pytest.raises(DatasetError, match=r"row 1: .*box_outside; 3 in all\).*data check"):
        check(recipe(root), tmp_path / "run")


def test_what_is_doubtful_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    twice = [[1, 2, 30, 40], [1, 2, 30, 40]]
    root = write(tmp_path / "data", twice, [[5, 5, 60, 70]])
    with caplog.at_level(logging.WARNING):
        checked = check(recipe(root), tmp_path / "run")
    told = [record.getMessage() for record in caplog.records if "box" in record.getMessage()]
    assert len(told) == 1
    assert "train.jsonl row 1" in told[0]
    assert "duplicate_box" in told[0]
    assert len(checked.last.train) == 2


def test_other_tasks_do_not_look_at_boxes(tmp_path: Path) -> None:
    root = write(tmp_path / "data", [[0.1, 0.2, 0.3, 0.4]])
    with pytest.raises(VesaliusError, match="nothing with a reference answer"):
        check(recipe(root, "vqa"), tmp_path / "run")


def test_no_picture_is_decoded_and_one_that_cannot_be_read_is_left_to_who_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(image: Any) -> None:
        raise AssertionError("decoded")

    root = write(tmp_path / "data", [[600, 10, 100, 50]], [[600, 10, 100, 50]])
    (root / "train1.png").write_bytes((root / "train1.png").read_bytes()[:20])
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    (found,) = misplaced(open_dataset("folder", root))
    assert (found.code, found.where.rpartition("/")[2]) == ("box_outside", "train.jsonl row 1")


def test_per_cent_is_doubted_over_the_whole_set(tmp_path: Path) -> None:
    root = write(tmp_path / "data", *[[[10, 10, 80, 70 + n]] for n in range(5)])
    (root / "validation.jsonl").unlink()
    (found,) = misplaced(open_dataset("folder", root))
    assert (found.code, found.level) == ("box_per_cent", "warning")
