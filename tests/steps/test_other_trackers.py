"""trackio and mlflow, which fit not beside our constraints, in an environment of their own."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.steps.patients import MACHINE, PATIENT, patients
from tests.system import failing_resolver
from tests.training.tracked import by_name, expected

import vesalius
from vesalius.system.files import read_lines

pytestmark = pytest.mark.slow
FIT = """
import socket, sys
from vesalius.cli.main import main
socket.gethostname = lambda: {machine!r}
sys.argv = {words!r}
main()
"""
READ = """
import json
from mlflow import MlflowClient
client = MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("vesalius").experiment_id])
curve = {
    name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]
    for name in run.data.metrics
}
facts = {"status": run.info.status, "name": run.info.run_name, "user": run.data.tags["mlflow.user"]}
print(json.dumps({**facts, "curve": curve, "params": run.data.params}))
"""
SERVED = """
import os, subprocess, sys, time, urllib.request
line = "-m mlflow server --backend-store-uri sqlite:///served.db --port 5077 --workers 1".split()
place = os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:5077"
server = subprocess.Popen([sys.executable, *line], start_new_session=True)
for _ in range(240):
    try:
        urllib.request.urlopen(f"{place}/health").close()
        break
    except OSError:
        time.sleep(0.5)
def between(step):
    if step == 2:
        os.killpg(server.pid, 9)
        server.wait()
"""
ROWS = """
from pathlib import Path
from vesalius import Recipe, Run
from vesalius.training.tracking import tracking
block = {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
recipe = Recipe.model_validate({**block, "report_to": "mlflow"})
run = Run.create(Path("run"), recipe)
with tracking(run, recipe) as followed:
    for step in (1, 2, 3):
        followed.record({"step": step, "loss": 1.0 / step})
        between(step)
print(len(run.log.read_text().splitlines()), "rows")
"""
ASKS = {
    "mlflow": "import mlflow, time\nmlflow.start_run()\nmlflow.end_run()\ntime.sleep(12)",
    "trackio": "import trackio\ntrackio.init('p')\ntrackio.log({'a': 1})\ntrackio.finish()",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with both, behind whose packages there are ours."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=True)
    own = folder / "bin" / "python"
    install = [own, "-m", "pip", "install", "--quiet", "trackio", "mlflow"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"pip cannot install them here: {done.stderr.strip().splitlines()[-1]}")
    ours, source = sysconfig.get_path("purelib"), Path(vesalius.__file__).parents[1]
    place = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(place) / "ours.pth").write_text(f"{source}\n{ours}\n")
    return own


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory, for programs without variables of trackers."""
    for name in os.environ:
        if name.startswith(("MLFLOW_", "TRACKIO_", "PYTHONPATH")):
            monkeypatch.delenv(name)
    return tmp_path


def run(python: Path, program: str, names: Path, **variables: str) -> str:
    """What a program prints, in a process without a network where that can be had."""
    if failing_resolver.able():
        process = failing_resolver.start(names, program, python, **variables)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == 0, output
        return output
    names.with_suffix(".home").mkdir()
    command: dict[str, Any] = {
        "cwd": names.with_suffix(".home"),
        "env": {**os.environ, **variables},
    }
    words = [python, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **command)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def repository(place: Path) -> Path:
    """A program in a repository whose branch and origin are called after a patient."""
    folder = place / f"code-{PATIENT}"
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (
        ["init", "--quiet", "--initial-branch", PATIENT, folder],
        ["-C", folder, "remote", "add", "origin", f"https://host.example/{PATIENT}.git"],
        ["-C", folder, *author, "commit", "--quiet", "--allow-empty", "--message", PATIENT],
    ):
        subprocess.run(["git", *words], check=True)
    (folder / "fit.py").touch()
    return folder / "fit.py"


def test_both_have_the_runs_log_and_no_byte_of_a_patient(python: Path, place: Path) -> None:
    fitted = place / f"fit-{PATIENT}"
    recipe = {
        "name": "mass",
        "data": patients(place / f"ward-{PATIENT}"),
        "model": {
            "name": "generative",
            "family": "llava",
            "tiny": True,
            "training": {"max_steps": 3, "batch": 2, "learning_rate": 0.01},
        },
        "decoding": {"max_new_tokens": 2},
        "evaluation": {"validate_on": 2, "resamples": 10},
        "report_to": ["mlflow", "trackio"],
    }
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = [str(repository(place)), "fit", str(place / "recipe.yaml"), "--run", str(fitted)]
    local = {
        "TRACKIO_DIR": str(place / "trackio"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{place}/m.db",
    }
    output = run(python, FIT.format(words=words, machine=MACHINE), place / "names", **local)
    assert "left behind" not in output
    assert failing_resolver.names_in(place / "names") == []
    log = [row for _, row in read_lines(fitted / "log.jsonl")]
    assert {"loss", "validation"} <= {key for row in log for key in row}

    with sqlite3.connect(place / "trackio" / "vesalius.db") as database:
        rows = [json.loads(row) for (row,) in database.execute("select metrics from metrics")]
        ((config,),) = database.execute("select config from configs")
    curve = [(row.pop("train/global_step"), row) for row in rows]
    assert curve == expected(log)
    assert json.loads(config)["model.training.learning_rate"] == 0.01
    assert json.loads(config)["_Username"] is None

    read = json.loads(run(python, READ, place / "read", **local).splitlines()[-1])
    assert (read["status"], read["user"]) == ("FINISHED", "")
    assert read["name"].startswith("mass-")
    assert read["params"]["model.training.learning_rate"] == "0.01"
    plain = [
        (s, {k.replace("train/", "").replace("eval/", "eval_"): v for k, v in row.items()})
        for s, row in expected(log)
    ]
    assert {k: [tuple(one) for one in v] for k, v in read["curve"].items()} == by_name(plain)

    written = [place / "m.db", *(one for one in (place / "trackio").rglob("*") if one.is_file())]
    written += [one for one in (place / "names.home").rglob("*") if one.is_file()]
    for secret in (PATIENT, MACHINE):
        for one in written:
            inside = one.name.encode() + one.read_bytes()
            assert secret.lower().encode() not in inside.lower(), f"{secret} in {one}"


def test_a_server_that_is_away_costs_one_line(python: Path, place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        away = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{taken.getsockname()[1]}"}
        away |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
        output = run(python, f"between = abs{ROWS}", place / "names", **away)
    assert output.splitlines()[-1] == "3 rows"
    assert output.count("mlflow failed and is left behind") == 1


def test_a_server_that_dies_in_a_fit_costs_one_line(python: Path, place: Path) -> None:
    output = run(python, SERVED + ROWS, place / "names", MLFLOW_HTTP_REQUEST_MAX_RETRIES="1")
    assert output.splitlines()[-1] == "3 rows"
    assert output.count("mlflow failed and is left behind") == 1
    assert "ERROR" not in output


@pytest.mark.parametrize("module", ASKS)
def test_neither_asks_for_a_host_once_vesalius_is_imported(
    module: str, python: Path, place: Path
) -> None:
    if not failing_resolver.able():
        pytest.skip("needs Linux and the right to namespaces")
    program = ASKS[module]
    run(python, f"import vesalius\n{program}", place / "behind")
    assert failing_resolver.names_in(place / "behind") == []
    if module == "mlflow":  # it does ask unless it is told not to
        run(python, program, place / "alone")
        assert failing_resolver.names_in(place / "alone")
