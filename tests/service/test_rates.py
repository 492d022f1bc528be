"""How often callers came: a moving window by the monotonic clock, or in a shared storage."""

from __future__ import annotations

import time
from typing import ClassVar

import pytest
from limits.storage import MemoryStorage

from vesalius.service.http.rates import LocalRates, SharedRates, rates


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_a_window_moves_and_waits_for_its_oldest(monotonic: list[float]) -> None:
    local = LocalRates()
    assert [local.hit("ann", 2, 60), local.hit("bob", 2, 60)] == [0, 0]
    monotonic[0] += 20
    # ann: at 1000 and 1020; the third has to wait until the first is a minute old, at 1060.
    assert [local.hit("ann", 2, 60), local.hit("ann", 2, 60)] == [0, 40]
    monotonic[0] += 40
    assert [local.hit("ann", 2, 60), local.hit("ann", 2, 60)] == [0, 20]
    assert local.hit("ann", 1, 60) == 60  # fewer are allowed now: its last one must be over


def test_a_clock_that_is_set_shuts_nobody_out_and_lets_nobody_in(
    monotonic: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    local = LocalRates()
    assert [local.hit("ann", 2, 60) for _ in range(3)] == [0, 0, 60]
    for year in (-1, 1):
        wall = time.time() + year * 365 * 86400
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        assert local.hit("ann", 2, 60) == 60
    monotonic[0] += 61
    assert local.hit("ann", 2, 60) == 0


def test_who_has_not_come_for_a_while_is_forgotten(monotonic: list[float]) -> None:
    local = LocalRates()
    local.hit("a study", 2, 86400)
    for number in range(20):
        local.hit(f"person {number}", 5, 60)
    local.tidy()
    assert len(local) == 21
    monotonic[0] += 61
    local.tidy()
    assert len(local) == 1
    assert local.hit("a study", 1, 86400) > 86000


class Elsewhere(MemoryStorage):
    """A storage that processes share, as far as its URL tells."""

    STORAGE_SCHEME: ClassVar[list[str]] = ["elsewhere"]


def test_a_shared_storage_counts_alike() -> None:
    shared = rates("elsewhere://")
    assert isinstance(shared, SharedRates)
    assert [shared.hit(name, 2, 60) for name in ("ann", "ann", "bob")] == [0, 0, 0]
    assert 58 < shared.hit("ann", 2, 60) <= 60
    assert shared.hit("bob", 2, 60) == 0
