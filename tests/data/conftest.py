"""Drawn data sets, opened."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from vesalius.data.datasets import Dataset
from vesalius.data.open import open_dataset

# The drawn layouts lie beside the tests that share them, the DICOM objects with those of cases.
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "cases"))


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[..., Dataset]:
    """Opens a data set that a layout function draws into a fresh folder."""

    def opened(name: str, layout: Callable[[Path], dict], **options: object) -> Dataset:
        return open_dataset(name, tmp_path, options=layout(tmp_path) | options)

    return opened
