"""What weights of other classes are worth: rows go by name, never by number."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vesalius.errors import ModelError
from vesalius.models.detection.known_classes import carry_over

BY_CLASS = {"1.weight", "1.bias"}


def network(classes: int, width: int = 2) -> nn.Module:
    torch.manual_seed(classes)
    return nn.Sequential(nn.Linear(3, width), nn.Linear(width, classes))


def test_a_class_is_known_by_its_name_whatever_its_number() -> None:
    old, new = network(3), network(2)
    head = new[1].weight.clone()  # type: ignore[index,operator,union-attr]
    known = carry_over(new, old.state_dict(), BY_CLASS, ["cat", "cyst", "dog"], ["dog", "mass"])
    state, before = new.state_dict(), old.state_dict()
    assert known.carried == ("dog",)
    assert torch.equal(state["0.weight"], before["0.weight"])
    assert torch.equal(state["1.weight"][0], before["1.weight"][2])
    assert torch.equal(state["1.weight"][1], head[1])
    assert str(known) == "3 classes (cat, cyst, dog), of which are ours: dog"


def test_a_head_of_as_many_other_classes_is_not_taken_for_ours() -> None:
    old, new = network(2), network(2)
    torch.nn.init.normal_(old[1].weight)  # type: ignore[index,arg-type,union-attr]
    before = new[1].weight.clone()  # type: ignore[index,operator,union-attr]
    known = carry_over(new, old.state_dict(), BY_CLASS, ["cat", "dog"], ["cyst", "mass"])
    assert known.carried == ()
    assert torch.equal(new.state_dict()["1.weight"], before)


def test_a_head_of_another_width_is_told_and_carries_no_class() -> None:
    before = network(2).state_dict() | {"1.weight": torch.zeros(2, 4)}
    known = carry_over(network(2), before, BY_CLASS, ["a", "b"], ["a", "b"])
    assert known.carried == ()
    assert known.renewed == ("1.weight",)
    assert str(known).endswith("of which are ours: none; 1 tensors of another shape start anew")


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelError, match=r"another network, .*: 0% of ours fits"):
        carry_over(network(2), {"other": torch.zeros(1)}, BY_CLASS, ["a"], ["a"])


def test_weights_of_another_size_are_refused() -> None:
    # of the smaller's tensors only the bias of its two classes fits: 2 of 12 + 4 + 8 + 2 numbers
    small = network(2).state_dict()
    with pytest.raises(ModelError, match=r"another size: 8% of ours fits"):
        carry_over(network(2, width=4), small, BY_CLASS, ["a", "b"], ["a", "b"])
