from __future__ import annotations

import pytest
import torch
from PIL import Image

from vesalius.errors import MissingExtra
from vesalius.models import efficientnet
from vesalius.models.efficientnet import efficientnet_lite0_features, to_tensor


def test_picture_keeps_its_aspect_on_black() -> None:
    pixels = to_tensor(Image.new("RGB", (100, 50), (255, 255, 255)), 32)
    assert pixels.shape == (3, 32, 32)
    white, black = (255 - 127) / 128, (0 - 127) / 128
    assert torch.allclose(pixels[:, 8:24], torch.tensor(white))  # 32 x 16 in the middle
    assert torch.allclose(pixels[:, :8], torch.tensor(black))
    assert torch.allclose(pixels[:, 24:], torch.tensor(black))


@pytest.mark.parametrize("size", [(1000, 1), (1, 1000), (1, 1)])
def test_slivers_become_squares(size) -> None:
    assert to_tensor(Image.new("L", size, 9)).shape == (3, 224, 224)


def test_grid_is_frozen_and_of_the_stated_shape() -> None:
    network = efficientnet_lite0_features()
    grid = network.extract_features(torch.zeros(2, 3, 224, 224))
    assert grid.shape == (2, 1280, 7, 7)
    assert not grid.requires_grad
    assert not network.training
    assert 0 <= grid.min() <= grid.max() <= 6


def test_missing_architecture_is_named(monkeypatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(efficientnet, "import_module", absent)
    with pytest.raises(MissingExtra, match="efficientnet-lite-pytorch"):
        efficientnet_lite0_features()
