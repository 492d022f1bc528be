"""Load, overload, slow peers, memory and a full disk: the faults of the contract, for real."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import load
import ocr_load
from serving import Serving, png, serving

VESALIUS = [sys.executable, "-m", "vesalius"]


@pytest.mark.slow
def test_a_hundred_clients_with_ten_requests_each_lose_and_mix_nothing(tmp_path: Path) -> None:
    with load.serving(tmp_path, DEADLINE="120") as (url, _):
        tally, _ = asyncio.run(load.clients(url))
    assert tally.statuses[200] == 1000
    assert (tally.lost, tally.mixed) == (0, 0)
    assert set(tally.statuses) <= {200, 429}


@pytest.mark.slow
def test_overload_is_refused_and_what_was_accepted_is_answered(tmp_path: Path) -> None:
    with load.serving(tmp_path) as (url, _):
        tally = asyncio.run(load.overload(url, rate=200, seconds=5))
        after = httpx2.get(f"{url}/readyz", trust_env=False)
    assert sum(tally.statuses.values()) == 1000
    assert set(tally.statuses) == {200, 429}
    assert tally.mixed == 0
    assert tally.statuses[200] >= 40  # a batch of 8 every 200 ms or so
    assert after.status_code == 200


@pytest.mark.slow
def test_two_hundred_slow_peers_keep_nobody_out(tmp_path: Path) -> None:
    with load.serving(tmp_path, HEADER_DEADLINE="10") as (url, _):
        tally, refused = asyncio.run(load.slow(url, peers=200, seconds=120))
    assert refused >= 200
    assert set(tally.statuses) == {200}
    assert tally.statuses[200] > 100


@pytest.mark.slow
def test_memory_stays_flat_over_twenty_thousand_pictures(tmp_path: Path) -> None:
    with load.serving(tmp_path) as (url, process):
        seen = asyncio.run(load.images(url, process, count=20_000))
    early = max(memory for count, memory in seen if count <= 6_000)  # one look may be a low one
    assert seen[-1][1] < early + 60, seen  # MiB, workers included


@pytest.mark.slow
def test_a_heap_of_pictures_with_writing_keeps_no_other_owner_waiting(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    replies = ocr_load.measure(tmp_path, pictures=300, seconds=0.1, deadline=30)
    beside, first = replies["second, beside"], replies["first"]
    assert set(beside) == {"its writing found"}  # never refused, whatever the first has in line
    refused = {words: tally.statuses for words, tally in first.items() if 429 in tally.statuses}
    assert refused.keys() == {
        "worker_busy: 256 pictures of yours are waiting already; send the next when one is done",
        "worker_busy: too many pictures are being decoded; try again later",
    }
    assert sum(sum(tally.statuses.values()) for tally in first.values()) == 300
    in_line = first["its writing found"].seconds[201]
    waits = beside["its writing found"].seconds[201]
    assert statistics.median(waits) < statistics.median(in_line)


def full(state: Path, megabytes: int) -> subprocess.Popen[str]:
    """A service whose files may not grow beyond so many megabytes: its disk is full."""
    limit = megabytes * 2**20

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    own = {"REPLAY": "echo", "PORT": "0", "STATE": str(state), "REPLAY_SECONDS": "0"}
    own |= {"RATE_PER_MINUTE": "1000000", "DECODERS": "1"}
    environment = os.environ | {f"VESALIUS_{name}": value for name, value in own.items()}
    return subprocess.Popen(
        [*VESALIUS, "serve"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=small,  # noqa: PLW1509
    )


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path: Path) -> None:
    started = full(tmp_path, 1)
    try:
        assert started.stderr is not None
        line = next(line for line in started.stderr if "serves" in line)
        url = line.split()[2]
        load.until_ready(url)
        with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
            small = client.post("/upload_image", files={"file": png(1)})
            assert small.status_code == 201
            big = client.post("/upload_image", files={"file": load.png(2, 900)})  # 2.4 MB kept
            assert (big.status_code, big.json()["code"]) == (507, "storage_full")
            image_id = small.json()["image_id"]
            codes = set()
            for number in range(2000):
                question = {"image_id": image_id, "question": f"{number} " + "x" * 1900}
                answer = client.post("/ask_question", json=question)
                codes.add(answer.status_code)
                if answer.status_code != 200:
                    assert answer.json()["code"] == "storage_full", answer.text
                    break
            assert codes == {200, 507}
            listed = client.get("/conversations?limit=100")
            assert listed.status_code == 200
            assert client.get(f"/images/{image_id}").status_code == 200
    finally:
        started.terminate()
        started.communicate(timeout=30)
    files = [path for path in (tmp_path / "pictures").rglob("*") if path.is_file()]
    assert len(files) == 1


def test_memory_does_not_grow_with_refused_uploads(tmp_path: Path) -> None:
    with serving(tmp_path, text_in_dicom="off", rate_per_minute=1_000_000) as api:
        refuse(api, 30)
        before = peak()
        refuse(api, 300)
        assert peak() < before + 20_000  # KiB


def refuse(api: Serving, times: int) -> None:
    for number in range(times):
        answer = api.upload(b"\x89PNG\r\n\x1a\n" + bytes([number % 256]) * 100_000)
        assert answer.status_code == 422


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
