"""Detection transformers: sizes, classes by name, losses of nothing, boxes in pixels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import DFineConfig, RfDetrImageProcessor, RTDetrImageProcessor

from vesalius.errors import ModelError, UnknownName
from vesalius.models.detection import detr_network
from vesalius.models.detection.framing import Framing

ARCHITECTURES = list(detr_network.sizes())
NOTHING = (torch.zeros(0, dtype=torch.long), torch.zeros(0, 4))
PUBLISHED = {
    ("rt_detr_v2", "small"): 20, ("rt_detr_v2", "medium"): 31, ("rt_detr_v2", "large"): 42,
    ("d_fine", "nano"): 4, ("d_fine", "small"): 10, ("d_fine", "medium"): 19,
    ("d_fine", "large"): 31, ("rf_detr", "nano"): 30, ("rf_detr", "small"): 32,
    ("rf_detr", "medium"): 33.5, ("rf_detr", "large"): 33.5,
}  # fmt: skip
"""Millions of parameters, as their publishers round them."""


def tiny(architecture: str, *classes: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return detr_network.drawn(detr_network.configuration(architecture, "tiny", classes))


@pytest.mark.parametrize(("architecture", "size"), PUBLISHED)
def test_a_size_weighs_what_is_published(architecture: str, size: str) -> None:
    config = detr_network.configuration(architecture, size, ["mass"])
    number = sum(p.numel() for p in detr_network.outline(config).parameters())
    assert number / 1e6 == pytest.approx(PUBLISHED[architecture, size], rel=0.08)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_an_all_empty_batch_has_a_finite_loss_and_gradient(architecture: str) -> None:
    network = tiny(architecture, "a", "b").train()
    pixels = torch.rand(2, 3, 64, 64)
    loss = detr_network.loss(network, pixels, [NOTHING, NOTHING])
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    some = (torch.tensor([1]), torch.tensor([[0.5, 0.5, 0.4, 0.4]]))
    assert torch.isfinite(detr_network.loss(network, pixels, [some, NOTHING]))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_boxes_and_scores_are_those_of_the_plain_library(architecture: str) -> None:
    network = tiny(architecture, "a", "b").eval()
    pixels = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        corners, scores = detr_network.detections(network, pixels)
        output = network(pixel_values=pixels)
    kind = RfDetrImageProcessor if architecture == "rf_detr" else RTDetrImageProcessor
    (plain,) = kind().post_process_object_detection(
        output, threshold=0.0, target_sizes=torch.tensor([(64, 96)])
    )
    query, label = divmod(int(scores[0].argmax()), 2)
    assert plain["labels"][0] == label
    assert plain["scores"][0] == scores[0, query, label]
    assert torch.allclose(plain["boxes"][0], corners[0, query], atol=1e-3)


@pytest.mark.parametrize("architecture", ["rt_detr_v2", "rf_detr"])
def test_weights_of_other_classes_are_told_and_shared_ones_kept_by_name(
    architecture: str, tmp_path: Path
) -> None:
    old = tiny(architecture, "cat", "tumor")
    old.save_pretrained(tmp_path)  # type: ignore[operator]
    new, known = detr_network.pretrained(str(tmp_path), None, ["tumor", "cyst", "mass"])
    assert (known.names, known.carried, known.renewed) == (("cat", "tumor"), ("tumor",), ())
    assert new.config.id2label == {0: "tumor", 1: "cyst", 2: "mass"}
    name = next(n for n in old.state_dict() if n.endswith("class_embed.0.weight"))
    assert torch.equal(new.state_dict()[name][0], old.state_dict()[name][1])
    same, known = detr_network.pretrained(str(tmp_path), None, ["cat", "tumor"])
    assert known.carried == ("cat", "tumor")
    assert all(torch.equal(v, old.state_dict()[k]) for k, v in same.state_dict().items())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tensors_with_a_row_a_class_are_known_by_their_names(architecture: str) -> None:
    one, other = (
        detr_network.outline(detr_network.configuration(architecture, "tiny", classes)).state_dict()
        for classes in (["a"], ["a", "b"])
    )
    longer = {key for key, value in one.items() if value.shape != other[key].shape}
    assert longer == {key for key in one if detr_network.BY_CLASS.search(key)}


def test_weights_of_as_many_other_classes_start_anew(tmp_path: Path) -> None:
    """What transformers itself takes silently: two classes there, two other ones here."""
    old = tiny("d_fine", "cat", "dog")
    old.save_pretrained(tmp_path)  # type: ignore[operator]
    torch.nn.init.ones_(old.class_embed[0].weight)  # type: ignore[index,union-attr,arg-type]
    new, known = detr_network.pretrained(str(tmp_path), None, ["cyst", "mass"])
    assert known.carried == ()
    before = detr_network.pretrained(str(tmp_path), None, ["cat", "dog"])[0].class_embed[0].weight
    assert not torch.equal(new.class_embed[0].weight, before)


def test_what_is_no_detection_transformer_is_refused_in_one_line(tmp_path: Path) -> None:
    DFineConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"cannot be loaded|no file"):
        detr_network.pretrained(str(tmp_path), None, ["a"])
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match=r"is vit, none of rt_detr_v2, d_fine, rf_detr"):
        detr_network.pretrained(str(tmp_path), None, ["a"])
    with pytest.raises(ModelError, match="neither a folder here"):
        detr_network.pretrained(str(tmp_path / "gone"), None, ["a"])


def test_a_size_that_there_is_not_is_told() -> None:
    with pytest.raises(UnknownName, match=r"no size of rt_detr_v2 called 'nano'"):
        detr_network.require_size("rt_detr_v2", "nano")
    with pytest.raises(UnknownName, match=r"no detection transformer called 'detr'"):
        detr_network.require_size("detr", "nano")


def test_how_weights_want_their_pictures(tmp_path: Path) -> None:
    RTDetrImageProcessor(size={"height": 320, "width": 320}).save_pretrained(tmp_path)
    assert detr_network.processing(str(tmp_path), None) == Framing(320, stretched=True)
    RfDetrImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="height and width that are equal"):
        detr_network.processing(str(tmp_path), None)
