"""What training added to the memory."""

from __future__ import annotations

import numpy as np
import psutil

from vesalius.training.memory import report, snapshot


def test_on_a_gpu_training_is_the_peak_beyond_what_the_model_took() -> None:
    before = {"device": "G", "total_mb": 16000.0, "peak_memory_mb": 900.0}
    before |= {"reserved_mb": 5000.0, "peak_reserved_mb": 7000.0}  # loading needed more for a while
    after = before | {"peak_memory_mb": 950.0, "reserved_mb": 8000.0, "peak_reserved_mb": 9000.0}
    # 9000 - 5000 = 4000 of 16000: a quarter.
    assert report(before, after) == {
        "device": "G",
        "total_mb": 16000,
        "peak_memory_mb": 950,
        "reserved_mb": 8000,
        "peak_reserved_mb": 9000,
        "memory_before_mb": 5000,
        "memory_peak_mb": 9000,
        "training_memory_mb": 4000,
        "training_memory_share": 0.25,
    }


def test_on_the_cpu_it_is_the_peak_of_the_process() -> None:
    before = {"device": "cpu", "total_mb": 8000.0, "peak_memory_mb": 500.0}
    found = report(before, before | {"peak_memory_mb": 700.0})
    assert found["memory_before_mb"] == 500
    assert found["memory_peak_mb"] == found["peak_memory_mb"] == 700
    assert found["training_memory_mb"] == 200
    assert found["training_memory_share"] == 0.025


def test_what_is_allocated_in_between_is_seen() -> None:
    before = snapshot(cpu=True)
    peak = float(before["peak_memory_mb"])
    # 200 MiB beyond the highest this process ever was, all of it touched.
    block = np.ones(int(peak * 2**20 - psutil.Process().memory_info().rss + 200 * 2**20) // 8)
    found = report(before, snapshot(cpu=True))
    assert block.all()
    assert 150 <= found["training_memory_mb"] <= 300
    assert found["total_mb"] > found["memory_peak_mb"]
