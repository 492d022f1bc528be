"""A detector behind the service: which boxes it gives, and that they lie where they were seen."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import serving

from vesalius.data.open import open_dataset
from vesalius.recipe import load_recipe
from vesalius.run import Run
from vesalius.steps.fit import fit
from vesalius.steps.predict import ask
from vesalius.steps.tiny import tiny

sys.path.insert(0, str(Path(__file__).parents[1] / "cases"))
from scans import scan, written

RECIPE = """
name: boxes
data: {dataset: phantom, task: detect, instruction: Mark what you see.}
model: {name: nanodet, image_size: 96}
"""


def box(score: float) -> dict[str, object]:
    return {"x": 1.0, "y": 2.0, "width": 3.0, "height": 4.0, "label": "nodule", "score": score}


@pytest.mark.parametrize(("point", "given"), [(0.5, [0.9, 0.5]), (None, [0.9, 0.5, 0.1])])
def test_boxes_below_the_operating_point_are_not_given(
    tmp_path: Path, point: float | None, given: list[float]
) -> None:
    saved = tmp_path / "predictions.jsonl"
    answer = {"boxes": [box(0.9), box(0.5), box(0.1)]}
    row = {"id": "1", "question": "find", "answer": answer, "operating_point": point}
    saved.write_text(json.dumps(row) + "\n")
    with serving(tmp_path / "state", replay=str(saved)) as running:
        said = running.ask(image_id=running.image_id(), question="find").json()
        kept = running.client.get(f"/conversations/{said['conversation_id']}").json()
    assert [one["score"] for one in said["boxes"]] == given
    assert [one["score"] for one in kept["messages"][0]["boxes"]] == given


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("detector")
    (folder / "r.yaml").write_text(RECIPE)
    run = fit(tiny(load_recipe(folder / "r.yaml")), folder / "run")
    # Six steps teach little: the point is lowered, so that something lies above it.
    table = run.weights / "detector.json"
    about = json.loads(table.read_text())
    about["operating_point"]["threshold"] = 0.0
    table.write_text(json.dumps(about))
    return run


def rotated() -> bytes:
    """Upright 60 x 96, saved lying on its side with EXIF orientation 6."""
    (case, *_) = open_dataset("phantom", options={"cases": {"train": 1}}).cases("train")
    upright = case.pictures[0].pixels().resize((60, 96))
    file, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    return file.getvalue()


def deep() -> bytes:
    """A DICOM of 16 bits, 40 rows and 72 columns."""
    ramp = np.linspace(0, 60_000, 40 * 72).reshape(40, 72).astype(np.uint16)
    return written(scan(ramp))


@pytest.mark.slow
@pytest.mark.parametrize(("data", "size"), [(rotated, (60, 96)), (deep, (72, 40))])
def test_boxes_lie_on_the_picture_that_the_model_saw(
    detector: Run, tmp_path: Path, data, size: tuple[int, int]
) -> None:
    file = tmp_path / "picture"
    file.write_bytes(data())
    direct = ask(detector, file).answer.boxes
    assert direct
    options = {"run": detector.path, "replay": None, "text_in_dicom": "off"}
    with serving(tmp_path / "state", **options) as running:
        image = running.image_id(file.read_bytes())
        said = running.client.post("/caption", json={"image_id": image}).json()
        png = running.client.get(f"/images/{image}").content
    with Image.open(BytesIO(png)) as seen:
        assert seen.size == size  # as it stands upright
    assert len(said["boxes"]) == len(direct)
    for one, own in zip(said["boxes"], direct, strict=True):
        place = [one[name] for name in ("x", "y", "width", "height")]
        assert place == pytest.approx([own.x, own.y, own.width, own.height], abs=1.0)
        assert 0 <= one["x"] <= one["x"] + one["width"] <= size[0] + 1e-3
        assert 0 <= one["y"] <= one["y"] + one["height"] <= size[1] + 1e-3
