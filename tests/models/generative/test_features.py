"""Kept features of a frozen tower: the same loss and gradients, the tower asked once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys import FAMILIES, dialogues, gradients, network

from vesalius.errors import ModelError, RecipeError
from vesalius.models.generative.features import FeatureStore, require_keepable
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.text.families import family

KEEPING = [name for name in FAMILIES if family(name).keeps]


def rows(net, folder: Path | None = None):
    prefixes = None if folder is None else FeatureStore(net, folder).prefix
    items = Groups(
        dialogues(), net.encoder, share=True, per_row=16, max_length=2048, prefixes=prefixes
    )
    return [collator(net)([items[i]]) for i in range(len(items))]


@pytest.mark.parametrize("name", KEEPING)
def test_kept_features_train_as_pictures_do(name: str, tmp_path: Path) -> None:
    net = network(name)
    vision = net.family.parts["vision"]
    for parameter, value in net.model.named_parameters():
        value.requires_grad_(not parameter.startswith(vision))
    loss, grads = gradients(net, rows(net))
    kept = rows(net, tmp_path)
    asked: list[object] = []
    net.model.get_submodule(vision[0]).register_forward_hook(lambda *_: asked.append(1))
    again, same = gradients(net, kept)
    assert again == pytest.approx(loss, rel=1e-6)
    assert same.keys() == grads.keys()
    for parameter, gradient in grads.items():
        torch.testing.assert_close(same[parameter], gradient, rtol=1e-4, atol=1e-5)
    rows(net, tmp_path)  # from disk
    assert not asked
    assert len(list(tmp_path.rglob("*.safetensors"))) == 3  # one a picture


def test_another_tower_reads_nothing_stale(tmp_path: Path) -> None:
    net = network("llava")
    rows(net, tmp_path)
    next(net.model.get_submodule(net.family.parts["vision"][0]).parameters()).data += 0.1
    rows(net, tmp_path)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 6


def test_a_torn_feature_file_is_named(tmp_path: Path) -> None:
    net = network("llava")
    rows(net, tmp_path)
    first = next(tmp_path.rglob("*.safetensors"))
    first.write_bytes(first.read_bytes()[:40])
    with pytest.raises(ModelError, match="no whole feature file"):
        rows(net, tmp_path)


def test_a_family_without_features_to_keep_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"features of Llama-3\.2-Vision cannot be kept"):
        FeatureStore(network("mllama"), tmp_path)
    with pytest.raises(RecipeError, match="of a frozen vision tower only"):
        require_keepable(family("llava"), {"vision": "full"})
