"""A service that the tests of a module share, and what the tests have beside them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from serving import Serving, serving  # noqa: E402


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A keyless service on loopback with an echo for a model, its rate limit out of the way."""
    with serving(tmp_path_factory.mktemp("state"), rate_per_minute=100_000) as running:
        yield running
