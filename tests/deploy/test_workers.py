"""Files that start workers: valid for what reads them, of options that the command has."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import vesalius
from vesalius.cli.main import app

NAMES = {"loop", "slurm.sbatch", "kubernetes.yaml", "skypilot.yaml"}
RESOURCES = {"accelerators", "use_spot", "disk_size", "job_recovery"}


@pytest.fixture
def workers(deploy: Path) -> Path:
    return deploy / "workers"


def options(text: str) -> list[set[str]]:
    """The options behind each ``vesalius predict`` of a file."""
    lines = re.findall(r"vesalius predict ([^#\n]*)", text)
    return [set(re.findall(r"--[a-z][a-z-]*", line)) for line in lines]


def test_the_guide_names_every_file(workers: Path) -> None:
    assert {path.name for path in workers.iterdir()} == NAMES
    guide = (workers.parents[1] / "docs" / "guide" / "workers.md").read_text()
    assert all(f"`deploy/workers/{name}`" in guide for name in NAMES)


@pytest.mark.parametrize("name", sorted(NAMES - {"kubernetes.yaml"}))
def test_their_commands_have_options_that_exist(workers: Path, name: str) -> None:
    group: Any = typer.main.get_command(app)
    known = {option for one in group.commands["predict"].params for option in one.opts}
    commands = options((workers / name).read_text())
    assert commands
    for command in commands:
        assert command <= known
        assert {"--worker", "--merge"} & command


@pytest.mark.parametrize("name", ["loop", "slurm.sbatch"])
def test_the_shell_reads_them(workers: Path, name: str) -> None:
    text = (workers / name).read_text()
    shell = "sh" if text.startswith("#!/bin/sh") else "bash"
    assert subprocess.run([shell, "-n", str(workers / name)], check=False).returncode == 0
    if lint := shutil.which("shellcheck"):
        done = subprocess.run([lint, str(workers / name)], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


def test_slurm_directives_stand_before_the_first_command_and_are_known(workers: Path) -> None:
    lines = (workers / "slurm.sbatch").read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [line.split()[1] for line in lines[:first] if line.startswith("#SBATCH ")]
    assert len(directives) == sum(line.startswith("#SBATCH") for line in lines)
    assert {one.split("=")[0] for one in directives} == {
        "--job-name", "--array", "--ntasks", "--cpus-per-task", "--mem", "--gpus-per-task",
        "--time", "--signal", "--requeue",
    }  # fmt: skip


def test_the_merge_after_an_array_waits_for_ends_of_any_kind(workers: Path) -> None:
    text = (workers / "slurm.sbatch").read_text()
    assert re.findall(r"--dependency=(\w+)", text) == [
        "afterany"
    ]  # afterok: never, after a timeout
    assert re.findall(r"--signal=(\S+)", text) == ["B:TERM@60"]


def test_the_job_is_valid_restricted_and_of_this_version(workers: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    job = yaml.safe_load((workers / "kubernetes.yaml").read_text())
    validate.validate(job, validate.latest_version(), strict=True)
    spec = job["spec"]
    assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
    pod = spec["template"]["spec"]
    (worker,) = pod["containers"]
    assert worker["image"] == f"vesalius-api:{vesalius.__version__}"
    assert worker["command"][:2] == ["vesalius", "predict"]
    assert worker["command"][-1] == "--worker"
    assert pod["securityContext"]["runAsNonRoot"]
    assert worker["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {one["name"] for one in worker["volumeMounts"]}
    assert mounts == {one["name"] for one in pod["volumes"]}


def test_the_sky_task_has_the_keys_of_one(workers: Path) -> None:
    task = yaml.safe_load((workers / "skypilot.yaml").read_text())
    assert task.keys() == {
        "name", "resources", "num_nodes", "envs", "workdir", "file_mounts", "setup", "run",
    }  # fmt: skip
    assert task["resources"].keys() == RESOURCES
    extras = re.search(r"\.\[(.*)\]", task["setup"])
    assert extras is not None
    project = (workers.parents[1] / "pyproject.toml").read_text()
    assert all(re.search(rf"^{one} = \[", project, re.MULTILINE) for one in extras[1].split(","))
    assert task["file_mounts"]["~/run"] == "${RUN}"  # of a workdir what git ignores is not synced
    assert "--run ~/run" in task["run"]
    assert '--shards "$SHARDS"' in task["run"]
    assert task["envs"].keys() == {"RUN", "SHARDS"}


FAKE = """#!/bin/sh
echo "$*" >> "$LOG"
case "$*" in
    *--merge*) exit 0 ;;
esac
[ "$(grep -c -e --worker "$LOG")" -gt 2 ] || kill -9 $$
exit "${CODE:-0}"
"""


@pytest.mark.parametrize(("code", "ends"), [("0", 0), ("2", 2)])
def test_the_loop_starts_the_killed_again_and_merges(
    workers: Path, tmp_path: Path, code: str, ends: int
) -> None:
    (tmp_path / "vesalius").write_text(FAKE)
    (tmp_path / "vesalius").chmod(0o755)
    log = tmp_path / "log"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "LOG": str(log), "CODE": code}
    command = [str(workers / "loop"), "a run", "2", "--name", "x"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == ends
    lines = log.read_text().splitlines()
    starts = [line for line in lines if line == "predict --run a run --worker --name x"]
    assert len(starts) >= 4  # two, killed; two again
    assert done.stderr.count("is started again") == 2
    merges = ["predict --run a run --merge --name x"] if ends == 0 else []
    assert lines[len(starts) :] == merges
