"""Fixtures for all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ["VESALIUS_FEATURES_MB"] = "0"  # no test depends on what another one has left
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a worker a core, their children too
# What tests of several steps share lies beside them: hostile.py, outside.py, planted.py.
sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real and hostile inputs, where there is one; else the test is skipped."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("VESALIUS_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("no shared inputs: set VESALIUS_SHARED to their folder")
    return folder
