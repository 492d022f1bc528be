"""Pace: rates, hours and sizes, by a clock that the test moves."""

from __future__ import annotations

import json

from vesalius.system.pace import Pace


class Clock:
    """Seconds that pass when the test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_costs_are_told_once_after_the_first_thirty_two() -> None:
    clock = Clock()
    pace = Pace(1_000_000, clock=clock)
    clock.now = 60.0  # loading a model
    pace.start()
    row = {"id": "x" * 987}
    assert len(json.dumps(row)) + 1 == 998
    clock.now += 4
    assert pace.add(16, [row], left=900_000) == ""
    clock.now += 4
    # 32 in 8 s are 4 a second; 720,000 / 4 / 3,600 = 50 hours; 998 bytes x 1,000,000 = 0.998 GB
    assert pace.add(16, [row], left=720_000) == (
        "the first 32: 4 items/s; 720,000 of 1,000,000 items are left, 50 hours for one worker, "
        "all rows 1 GB"
    )
    clock.now += 8
    assert pace.add(32, [row], left=1) == ""
    assert pace.after() == "this worker: 64 items in 16.0 s, 4 items/s"


def test_a_worker_for_which_nothing_was_left_says_so() -> None:
    assert Pace(10).after() == "nothing was left for this worker"
