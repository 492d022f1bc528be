"""A round that would delete nearly everything waits: the clock may be wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vesalius.service.store import housekeeping
from vesalius.service.store.housekeeping import MANY, PATIENCE, Rounds
from vesalius.service.store.records import Due, Swept

DAY = timedelta(days=1)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in its one entry."""
    seconds = [0.0]
    monkeypatch.setattr(housekeeping.time, "monotonic", lambda: seconds[0])
    return seconds


@pytest.fixture
def fill(store, make_picture, clock):
    """Adds pictures that expire in a day."""

    def add(count: int, first: int = 0) -> None:
        for number in range(first, first + count):
            store.add_image("ada", f"{number:064x}", make_picture(), expires_at=clock.now + DAY)

    return add


def test_nearly_everything_waits_an_hour_of_real_time(store, fill, clock, watch) -> None:
    fill(MANY)
    rounds = Rounds(store, 30 * DAY)
    assert rounds.sweep() == Swept(0, 0, 0, 0)
    clock.forward(days=1)  # whether a day has passed or the clock jumped, nobody knows
    assert rounds.sweep() == Due(MANY, MANY)
    watch[0] = PATIENCE - 1
    assert rounds.sweep() == Due(MANY, MANY)
    watch[0] = PATIENCE
    assert rounds.sweep() == Swept(MANY, 0, 0, 0)


def test_a_clock_that_is_set_right_again_has_cost_nothing(store, fill, clock, watch) -> None:
    fill(MANY)
    rounds = Rounds(store, 30 * DAY)
    clock.forward(days=400)
    assert rounds.sweep() == Due(MANY, MANY)
    clock.forward(days=-400)
    watch[0] = PATIENCE
    assert rounds.sweep() == Swept(0, 0, 0, 0)
    clock.forward(days=400)
    assert rounds.sweep() == Due(MANY, MANY)  # another hour begins


@pytest.mark.parametrize(("old", "young"), [(MANY - 1, 0), (MANY, 3)])
def test_few_or_a_part_go_at_once(store, fill, clock, watch, old: int, young: int) -> None:
    """20 of 23 are .87 of them."""
    fill(old)
    clock.forward(hours=12)
    fill(young, first=old)
    clock.forward(hours=12)
    assert Rounds(store, 30 * DAY).sweep() == Swept(old, 0, 0, 0)


def test_conversations_wait_too(store, clock, watch) -> None:
    for number in range(MANY):
        turn = store.begin_turn("ada", None, None, f"what is {number}?")
        store.finish_turn("ada", turn.answer_id, answer="a hand")
    clock.forward(days=31)
    rounds = Rounds(store, 30 * DAY)
    assert rounds.sweep() == Due(MANY, MANY)
    watch[0] = PATIENCE
    rounds.sweep()
    assert rounds.sweep() == Swept(0, 0, 0, 0)
    assert store.due() == (Due(0, 0), Due(0, 0))
