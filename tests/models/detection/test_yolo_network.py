"""YOLOv8 and YOLO11: classes by name, losses of nothing, boxes as ultralytics decodes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

pytest.importorskip("ultralytics", reason="the extra yolo is not installed")

from vesalius.models.detection import ultralytics_library, yolo_network

NOTHING = (torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))
LARGE = (torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.8, 0.8]]))


def tiny(*classes: str, architecture: str = "yolov8n") -> torch.nn.Module:
    torch.manual_seed(0)
    return yolo_network.drawn(architecture, classes, tiny=True)


@pytest.mark.parametrize("architecture", ["yolov8n", "yolo11n"])
def test_an_all_empty_batch_has_a_finite_loss_and_gradient(architecture: str) -> None:
    network = tiny("a", "b", architecture=architecture).train()
    pixels = torch.rand(2, 3, 64, 64)
    nothing = yolo_network.loss(network, pixels, [NOTHING, NOTHING])
    nothing.backward()
    assert torch.isfinite(nothing)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert yolo_network.loss(network, pixels, [NOTHING, LARGE]) > nothing


def test_the_loss_of_a_batch_does_not_depend_on_its_size() -> None:
    network, pixels = tiny("a", "b").train(), torch.rand(1, 3, 64, 64)
    one = yolo_network.loss(network, pixels, [LARGE])
    two = yolo_network.loss(network, pixels.repeat(2, 1, 1, 1), [LARGE, LARGE])
    assert two.item() == pytest.approx(one.item(), rel=1e-4)


def test_weights_of_other_classes_are_told_and_shared_ones_kept_by_name(tmp_path: Path) -> None:
    old, path = tiny("cat", "tumor"), tmp_path / "best.pt"
    ultralytics_library.write(old, path)
    new, known = yolo_network.pretrained(path, ["tumor", "cyst"])
    assert (known.names, known.carried) == (("cat", "tumor"), ("tumor",))
    assert new.names == {0: "tumor", 1: "cyst"}
    name = next(n for n in old.state_dict() if ".cv3.0." in n and n.endswith("2.bias"))
    assert new.state_dict()[name][0] == old.state_dict()[name][1]


def test_a_file_that_is_written_is_what_ultralytics_itself_predicts_with(tmp_path: Path) -> None:
    network, path = tiny("cat", "tumor").eval(), tmp_path / "best.pt"
    ultralytics_library.write(network, path)
    pixels = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        corners, scores = yolo_network.detections(network, pixels)
        again, same = yolo_network.detections(ultralytics_library.read(path).eval(), pixels)
    assert corners.shape == (1, 126, 4)  # 8 x 12 + 4 x 6 + 2 x 3 cells
    assert torch.equal(corners, again)
    assert torch.equal(scores, same)
    # Cell 0 is the one in the upper left corner: its centre (4, 4) lies in its own box.
    left, top, right, bottom = corners[0, 0].tolist()
    assert left < 4 < right
    assert top < 4 < bottom
