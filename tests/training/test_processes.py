"""Two processes are one: the same curve, each dialogue once, and everybody stops together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from tests.training.conftest import fit, network, rows

from vesalius.run import is_main
from vesalius.system.files import read_lines
from vesalius.training.processes import (
    gathered,
    highest,
    main_first,
    on_main,
    wait_for_everyone,
    world_size,
)

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = sorted((ROOT / "recipes" / "accelerate").glob("*.yaml"))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have left what they saw."""
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(ROOT / "tests/training/together.py"), str(folder)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    environment |= {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def said(together: Path) -> list[dict[str, Any]]:
    """What each process said."""
    return [json.loads((together / f"said-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_learn_as_one_with_the_same_global_batch(
    together: Path, said: list[dict[str, Any]], tmp_path: Path
) -> None:
    alone = fit(tmp_path / "run", model=network(0.0), items=rows(12), batch=2)
    log = [row for _, row in read_lines(together / "curve" / "log.jsonl")]
    assert [row["step"] for row in log] == [row["step"] for row in alone.log]
    for one, other in zip(log, alone.log, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-5)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], abs=1e-5)
        assert one["learning_rate"] == other["learning_rate"]
    for name, weight in alone.weights.items():
        for process in said:
            total = process["curve"]["weights"][name]
            assert total == pytest.approx(float(weight.double().sum()), abs=1e-4)
    assert said[0]["curve"]["facts"]["processes"] == 2


@pytest.mark.slow
def test_every_dialogue_is_met_once_an_epoch(said: list[dict[str, Any]]) -> None:
    everything = {row["id"] for row in rows(12)}
    met = [process["curve"]["met"] for process in said]
    assert [len(m) for m in met] == [18, 18]  # 3 epochs of 6 in each process
    for epoch in range(3):
        one, other = (m[6 * epoch : 6 * epoch + 6] for m in met)
        assert set(one) | set(other) == everything
        assert not set(one) & set(other)


@pytest.mark.slow
def test_a_last_round_that_is_too_small_is_filled_with_the_first(
    said: list[dict[str, Any]],
) -> None:
    met = [name for process in said for name in process["uneven"]]
    assert len(met) == 12
    assert set(met) == {row["id"] for row in rows(11)}
    assert met.count(said[0]["uneven"][0]) == 2  # the epoch's first, once more


@pytest.mark.slow
def test_a_loss_that_is_no_number_in_one_stops_both(said: list[dict[str, Any]]) -> None:
    messages = [process["nan"] for process in said]
    assert messages[0] == messages[1]
    assert "the loss is not a number at step 1 (batch: case-" in messages[0]
    # Steps are 2 batches of 1: only those of the second process are named.
    named = messages[0].split("batch: ")[1].split(")")[0].split(", ")
    assert len(named) == 2


@pytest.mark.slow
def test_one_that_is_told_to_stop_stops_both_and_both_go_on(said: list[dict[str, Any]]) -> None:
    for process in said:
        words, weights, log = process["stop"]
        assert words.startswith("143 ")
        assert "stopped at step 4" in words
        assert weights
        assert log


@pytest.mark.slow
def test_the_main_one_validates_and_both_end_with_its_choice(
    together: Path, said: list[dict[str, Any]]
) -> None:
    assert [process["choose"]["calls"] for process in said] == [[0, 0], []]
    for process in said:
        facts = process["choose"]["facts"]
        assert (facts["best_step"], facts["steps"], facts["stopped_early"]) == (3, 6, True)
        first, second = process["choose"]["sums"]
        assert first == second
    assert [p.name for p in (together / "choose" / "best").iterdir()] == ["3"]


@pytest.mark.slow
def test_they_agree(said: list[dict[str, Any]]) -> None:
    assert [process["refused"] for process in said] == [["no such thing"]] * 2
    assert [process["highest"] for process in said] == [15, 15]
    assert [process["on_main"] for process in said] == [0, 0]
    assert [process["is_main"] for process in said] == [True, False]


def test_a_single_process_agrees_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (world_size(), is_main()) == (1, True)
    assert (highest(7), gathered("x"), on_main(lambda: 5)) == (7, ["x"], 5)
    wait_for_everyone()
    with main_first():
        pass
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "2")
    assert (world_size(), is_main()) == (4, False)


def test_only_the_main_process_writes_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(tmp_path / "run", max_steps=1).run
    monkeypatch.setenv("RANK", "1")
    run.note(seen="by another")
    assert "seen" not in run.status()
    monkeypatch.setenv("RANK", "0")
    run.note(seen="by the main one")
    assert run.status()["seen"] == "by the main one"


def test_there_is_a_configuration_for_every_way() -> None:
    names = {path.stem for path in CONFIGS}
    assert names == {"cpu-2", "ddp", "deepspeed-zero2", "deepspeed-zero3", "fsdp"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_understands_the_configuration(path: Path) -> None:
    config = load_config_from_file(str(path))  # refuses keys that it does not know
    assert isinstance(config, ClusterConfig)
    assert config.num_processes == 2
    assert config.mixed_precision == "no"
    written = yaml.safe_load(path.read_text())
    assert config.distributed_type.value == written["distributed_type"]
    if config.fsdp_config:
        assert set(config.fsdp_config) <= launch_options()
    if config.deepspeed_config:
        assert set(config.deepspeed_config) <= launch_options()
        stage = config.deepspeed_config["zero_stage"]
        assert path.stem == f"deepspeed-zero{stage}"


def launch_options() -> set[str]:
    from accelerate.commands.launch import launch_command_parser

    return set(vars(launch_command_parser().parse_args(["script.py"])))
