"""Ray as an engine: it starts workers, and whoever dies, shards are done once and rows the same."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray_jobs import ITEMS, SHARDS, SIZE, Squares

from vesalius.errors import DatasetError, MissingExtra, RunError
from vesalius.system import ray_engine
from vesalius.system.ray_engine import run_on_ray

pytest.importorskip("ray", reason="needs the extra ray")


def rows(job: Squares) -> list[dict[str, Any]]:
    return [row for number in range(SHARDS) for row in job.shards.rows(number)]


def claims(at: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text().splitlines()[0]) for path in at.glob("*.claim.*")]


def run(at: Path, trouble: str = "", workers: int = 2) -> Squares:
    return run_on_ray(partial(Squares, at, trouble), workers)


def test_a_killed_worker_is_replaced_and_every_shard_is_done_once(
    ray_cluster: str, tmp_path: Path, capsys: Any
) -> None:
    at = tmp_path / "shards"
    job = run(at, "dies_once")
    assert [(row["n"], row["square"]) for row in rows(job)] == [(n, n * n) for n in range(ITEMS)]
    processes = [claim["pid"] for claim in claims(at)]
    assert len(processes) == SHARDS + 1  # the dead one's shard was claimed again
    assert len(set(processes)) > 1
    assert os.getpid() not in processes
    told = capsys.readouterr().err
    assert f"these workers: {ITEMS} items in " in told
    assert "hours for these workers" in told


def test_workers_that_die_again_and_again_are_told_in_a_line(
    ray_cluster: str, tmp_path: Path
) -> None:
    at = tmp_path / "shards"
    with pytest.raises(RunError, match="3 workers died, and no shard was done meanwhile") as told:
        run(at, "dies", workers=1)
    assert "\n" not in str(told.value)
    assert len(list(at.glob("*.jsonl"))) == 2
    assert Squares(at).work() == ITEMS - 2 * SIZE  # and what is there is not done again


def test_what_a_worker_refuses_arrives_as_it_was_raised(ray_cluster: str, tmp_path: Path) -> None:
    at = tmp_path / "shards"
    with pytest.raises(DatasetError, match=r"shards: is not here \(mount it\)"):
        run(at, "refuses")


def test_a_fault_of_ours_is_told_without_its_words(ray_cluster: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a worker failed: ") as told:
        run(tmp_path / "shards", "fails")
    assert "patient" not in str(told.value)
    assert "--worker" in str(told.value)


def test_where_nothing_is_left_no_ray_is_started(tmp_path: Path, monkeypatch: Any) -> None:
    at = tmp_path / "shards"
    Squares(at).work()
    monkeypatch.setattr(ray_engine, "WorkerProcess", None)
    assert run(at).left() == 0


def test_a_client_address_and_one_where_no_ray_is_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:10001")
    with pytest.raises(RunError, match="RAY_ADDRESS: is a Ray client's address"):
        run(tmp_path / "shards")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    with pytest.raises(RunError, match=r"127\.0\.0\.1:9: Ray cannot be started or reached") as told:
        run(tmp_path / "shards")
    assert "\n" not in str(told.value)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"vesalius\[ray\]"):
        run(tmp_path / "shards")


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["driver_dies", "control_dies"])
def test_when_ray_dies_a_line_says_so_and_the_next_run_goes_on(
    trouble: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    at, before = tmp_path / "shards", set(Path("/tmp").glob("ves-*"))
    with pytest.raises(RunError, match="Ray died") as told:
        run(at, trouble)
    assert "the same command goes on" in str(told.value)
    assert "\n" not in str(told.value)
    assert not set(Path("/tmp").glob("ves-*")) - before
    results = {path: path.read_bytes() for path in at.glob("*.jsonl")}
    assert 2 <= len(results) < SHARDS
    job = run(at, trouble)
    assert [row["n"] for row in rows(job)] == [*range(ITEMS)]
    assert {path: path.read_bytes() for path in results} == results


@pytest.mark.slow
def test_workers_go_on_when_the_process_of_their_machine_dies(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    job = run(tmp_path / "shards", "node_dies")
    assert (tmp_path / "dead").exists()
    assert [row["n"] for row in rows(job)] == [*range(ITEMS)]
