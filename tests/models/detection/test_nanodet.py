"""NanoDet: places and boxes by hand, losses of nothing, weights by name, the averaged network."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from vesalius.errors import ModelError, RecipeError
from vesalius.models.detection import nanodet_weights
from vesalius.models.detection.nanodet import Nanodet, NanodetSettings
from vesalius.models.detection.nanodet_loss import (
    BINS,
    assigned,
    centres,
    decoded,
    distribution_focal_loss,
    gfl_loss,
    quality_focal_loss,
)
from vesalius.models.detection.nanodet_network import NanoDet, Trainable

NOTHING = (torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))
LARGE = (torch.tensor([1]), torch.tensor([[16.0, 16.0, 48.0, 48.0]]))


def network(classes: int = 2, seed: int = 0) -> NanoDet:
    torch.manual_seed(seed)
    return NanoDet(classes, width=4)


def labels(*targets: tuple[torch.Tensor, torch.Tensor]) -> list[dict[str, torch.Tensor]]:
    return [{"class_labels": classes, "boxes": boxes} for classes, boxes in targets]


def test_places_lie_in_the_middle_of_their_cells_the_finest_grid_first() -> None:
    points, strides = centres(64)
    assert len(points) == 8 * 8 + 4 * 4 + 2 * 2
    assert points[[0, 1, 8, 64, 80]].tolist() == [[4, 4], [12, 4], [4, 12], [8, 8], [16, 16]]
    assert strides[[0, 64, 80]].tolist() == [8, 16, 32]


def test_a_side_is_the_mean_of_its_distances_in_strides() -> None:
    sides = torch.full((1, 4, BINS), -50.0)
    for side, bins in enumerate([(1,), (2,), (0, 1), (10,)]):
        sides[0, side, list(bins)] = 50.0
    corners = decoded(sides, torch.tensor([[20.0, 36.0]]), torch.tensor([8.0]))
    assert corners[0].tolist() == pytest.approx([20 - 8, 36 - 16, 20 + 4, 36 + 80], abs=1e-4)


def test_a_box_is_learnt_by_places_inside_it_and_nothing_by_none() -> None:
    points, strides = centres(64)
    number = assigned(points, strides, LARGE[1])
    learns = points[number == 0]
    assert len(learns) > 0
    assert ((learns > 16) & (learns < 48)).all()
    assert (assigned(points, strides, NOTHING[1]) == -1).all()


def test_a_place_of_two_boxes_learns_the_one_that_it_overlaps_more() -> None:
    points, strides = centres(64)
    boxes = torch.tensor([[0.0, 0.0, 64.0, 64.0], [12.0, 12.0, 52.0, 52.0]])
    number = assigned(points, strides, boxes)
    assert (number == 1).any()
    assert torch.equal(number == 0, assigned(points, strides, boxes.flip(0)) == 1)


def test_losses_by_hand() -> None:
    # sigmoid(0) = .5: (|.5 - 1|^2 + |.5 - 0|^2) * log 2 = .5 log 2.
    loss = quality_focal_loss(torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]]))
    assert loss.item() == pytest.approx(0.5 * np.log(2))
    # Equal logits: each bin has 1/11, so log 11 whatever the shares of the two bins.
    sides = torch.zeros(1, 4, BINS)
    distances = torch.tensor([[0.0, 1.25, 3.5, 99.0]])
    assert distribution_focal_loss(sides, distances).item() == pytest.approx(np.log(11))
    # 1.25 lies between the bins 1 and 2, at .75 and .25.
    sides[0, 1, 1], sides[0, 1, 2] = np.log(30.0), np.log(10.0)  # of 49 in all
    by_hand = -(0.75 * np.log(30 / 49) + 0.25 * np.log(10 / 49))
    assert distribution_focal_loss(sides, distances).item() == pytest.approx(
        (3 * np.log(11) + by_hand) / 4
    )


def test_an_all_empty_batch_has_a_finite_loss_and_gradient() -> None:
    model = network()
    logits, sides = model(torch.rand(2, 3, 64, 64))
    nothing = gfl_loss(logits, sides, [NOTHING, NOTHING], 64)
    nothing.backward()
    assert torch.isfinite(nothing)
    assert nothing > 0
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert gfl_loss(*model(torch.rand(2, 3, 64, 64)), [NOTHING, LARGE], 64) > nothing


def test_a_batch_twice_over_has_the_same_loss() -> None:
    model, pixels = network(), torch.rand(1, 3, 64, 64)
    one = gfl_loss(*model(pixels), [LARGE], 64)
    two = gfl_loss(*model(pixels.repeat(2, 1, 1, 1)), [LARGE, LARGE], 64)
    assert two.item() == pytest.approx(one.item(), rel=1e-4)


def test_one_picture_is_learnt_and_its_box_comes_back_within_a_pixel_or_two() -> None:
    torch.manual_seed(1)
    model, pixels = network(seed=1), torch.rand(1, 3, 64, 64)
    best = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(80):
        best.zero_grad()
        gfl_loss(*model(pixels), [LARGE], 64).backward()
        best.step()
    corners, scores = Trainable(model, ("a", "b"), "tiny").eval().detections(pixels)
    place, label = divmod(int(scores[0].argmax()), 2)
    assert label == 1
    assert corners[0, place].tolist() == pytest.approx([16, 16, 48, 48], abs=3)


def test_what_answers_is_an_average_that_checkpoints_have() -> None:
    model = Trainable(network(), ("a", "b"), "tiny")
    name, weight = next(iter(model.network.named_parameters()))
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 1.0
    share = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    model(torch.rand(1, 3, 64, 64), labels((torch.tensor([0]), share)))
    # The first batch: a decay of 1/10, so nine tenths of the step of 1.
    assert torch.allclose(model.averaged()[name], before + 0.9)
    again = Trainable(network(seed=5), ("a", "b"), "tiny")
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.averaged()[name], model.averaged()[name])
    model.eval()(torch.rand(1, 3, 64, 64), labels(NOTHING))
    assert torch.equal(again.averaged()[name], model.averaged()[name])  # only in training


def test_weights_of_other_classes_are_taken_by_name(tmp_path: Path) -> None:
    old = network(3)
    nanodet_weights.write(old.state_dict(), ["cat", "cyst", "tumor"], "tiny", tmp_path / "a")
    new, known, size = nanodet_weights.pretrained(tmp_path / "a", ["node", "tumor"])
    assert size == "tiny"  # the file's, whatever a recipe says
    assert (known.names, known.carried) == (("cat", "cyst", "tumor"), ("tumor",))
    for before, after in zip(old.heads, new.heads, strict=True):
        assert torch.equal(before.classes.weight[2], after.classes.weight[1])
        assert torch.equal(before.sides.weight, after.sides.weight)
        assert after.classes.bias[0].item() == pytest.approx(-np.log(99))  # anew, as unlearnt
    _, known, _ = nanodet_weights.pretrained(tmp_path / "a", ["x", "y", "z"])
    assert known.carried == ()  # equally many classes are no shared ones


def package(classes: int = 1) -> tuple[list[dict[str, Any]], bytes, NanoDet]:
    """The published form of a drawn network: kernels and biases apart, colours the other way."""
    torch.manual_seed(3)
    model = NanoDet(classes, width=4)
    state = model.half().state_dict()
    pairs: list[tuple[torch.Tensor, torch.Tensor]] = []
    for name in [key.removesuffix(".weight") for key in state if key.endswith(".weight")]:
        one = (state[name + ".weight"], state[name + ".bias"])
        if name.endswith(".sides"):
            one = tuple(torch.cat(both) for both in zip(pairs.pop(), one, strict=True))
        pairs.append(one)
    pairs[0] = (pairs[0][0].flip(1), pairs[0][1])
    half, table, content = {"dtype": "float16"}, [], b""
    for place, (kernel, bias) in reversed(list(enumerate(pairs))):
        moved = kernel.permute(2, 3, 1, 0).contiguous()
        split = f"PartitionedCall/split_{place}" if place else "PartitionedCall/split"
        rows = ((f"unknown_{2 * place}", bias), (split, moved))
        axis = {"name": "PartitionedCall/Concat_9/axis", "shape": [], "dtype": "int32"}
        table += [{"name": n, "shape": list(v.shape), "quantization": half} for n, v in rows]
        table.append(axis)
        content += b"".join(value.numpy().tobytes() for _, value in rows) + b"\1\0\0\0"
    return table, content, model.float()


def test_the_packages_tensors_are_ours_in_rgb() -> None:
    table, content, model = package()
    state = nanodet_weights.filled(table, content, 1)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_a_package_other_than_the_one_looked_at_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, content, _ = package()
    files = {
        nanodet_weights.GRAPH: json.dumps({"weightsManifest": [{"weights": table}]}).encode(),
        nanodet_weights.NUMBERS: content,
    }
    for name, values in files.items():
        path = tmp_path / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(values)
    with tarfile.open(tmp_path / "p.tgz", "w:gz") as archive:
        archive.add(tmp_path / "package", "package")
    for place in (tmp_path / "p.tgz", tmp_path / "package"):
        with pytest.raises(ModelError, match="is not the file of"):
            nanodet_weights.converted(place)
    hashes = {name: hashlib.sha256(values).hexdigest() for name, values in files.items()}
    monkeypatch.setattr(nanodet_weights, "SHA256", hashes)
    monkeypatch.setattr(nanodet_weights, "coco_classes", lambda: ("tumor",))
    nanodet_weights.convert(tmp_path / "p.tgz", tmp_path / "w.safetensors")
    assert nanodet_weights.read(tmp_path / "w.safetensors")[1:] == (("tumor",), "g")


def test_what_is_no_file_of_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no weights here"):
        nanodet_weights.read(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="no weights of nanodet"):
        nanodet_weights.read(tmp_path / "a.safetensors")
    (tmp_path / "a.tgz").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="is not @vladmandic"):
        nanodet_weights.converted(tmp_path / "a.tgz")


def test_cocos_80_names_stand_in_the_order_of_its_numbers() -> None:
    names = nanodet_weights.coco_classes()
    assert (len(names), names[0], names[11], names[-1]) == (80, "person", "stop sign", "toothbrush")


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(RecipeError, match="100 is no multiple of 32"):
        Nanodet(NanodetSettings(image_size=100)).check(validated=False)
    with pytest.raises(ValidationError):
        NanodetSettings.model_validate({"size": "m"})


def test_it_has_3_8_million_weights() -> None:
    facts = Nanodet(NanodetSettings()).weigh()
    # Of 1 class; each other one has a row of 128 and a bias in three heads: 3,786,068 of COCO's 80.
    assert facts["parameters"] == 3_786_068 - 79 * 3 * 129
