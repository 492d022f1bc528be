"""The objects that these tests write lie beside them, and in the tests of the decoder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vesalius.data.deidentify.pseudonyms import VARIABLE

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "cases")]


@pytest.fixture(autouse=True)
def _no_key_in_the_environment(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
