"""Steps in all."""

from __future__ import annotations

from vesalius.training.settings import Training


def test_steps_count_the_rows_of_all_processes() -> None:
    settings = Training(batch=2, accumulate=3, epochs=2)
    # 20 rows: 10 batches, ceil(10/3) = 4 steps an epoch. Two processes: 5 rounds, 2 steps.
    assert settings.steps(20) == 8
    assert settings.steps(20, processes=2) == 4
    assert Training(max_steps=5).steps(20, processes=2) == 5
