"""The wheel has all that the package reads, and works in an empty environment, alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from vesalius.evaluation.metrics import metrics
from vesalius.system import machine

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
UV = Path(sys.executable).parent / "uv"
QUIET = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
"""An environment without PYTHONPATH, so that no source tree stands in for the wheel."""

UNREACHABLE = ("Failed to fetch", "error sending request", "the network was disabled")
"""What uv says where no index answers, or where it is told not to ask."""


def run(command: Sequence[str | Path], **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **more)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of what a build reads, so that nothing is left in the source tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    leftovers = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(SOURCE, tree / "src", ignore=leftovers)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tree, tree]
    done = run(command, env=QUIET)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (built,) = tree.glob("*.whl")
    return built


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    tree = {
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "vesalius").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("vesalius/")}
    assert {Path(name).suffix for name in packed} > {".py", ".yaml", ".html", ".css", ".js"}
    assert packed == tree


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of an environment with the wheel and what it depends on, pinned; no extra."""
    home = tmp_path_factory.mktemp("empty") / "venv"
    made = run([UV, "venv", "--quiet", "--python", sys.executable, home])
    assert made.returncode == 0, made.stderr
    pins = ["--constraint", str(ROOT / "constraints.txt")]
    done = run([UV, "pip", "install", "--quiet", "--python", home, *pins, wheel])
    if any(words in done.stderr for words in UNREACHABLE):
        pytest.skip("no package index is reachable")
    assert done.returncode == 0, done.stderr
    return home / "bin"


@pytest.mark.slow
def test_the_wheel_alone_checks_data_and_scores_answers(installed: Path, tmp_path: Path) -> None:
    def vesalius(*words: str) -> str:
        done = run([installed / "vesalius", *words], cwd=tmp_path, env=QUIET)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run([installed / "python", "-c", "import torch"], env=QUIET).returncode != 0
    assert "prepare, adapt, combine, evaluate, serve" in vesalius("--help")
    assert "0 errors" in vesalius("data", "check", "phantom", "--limit", "5")
    rows = [
        {"id": "q1", "answer": "yes", "references": ["yes"], "kind": "closed", "group": "p1"},
        {"id": "q2", "answer": "the left lung", "references": ["left lung"], "group": "p2"},
        {"id": "q3", "answer": "no", "references": ["yes"], "kind": "closed", "group": "p3"},
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    vesalius("evaluate", "answers.jsonl", "-m", "squad", "-m", "meteor_exact_stem",
             "--save", "scores.json")  # fmt: skip
    rows = json.loads((tmp_path / "scores.json").read_text())["scores"]
    scores = {row["metric"]: row["value"] for row in rows if row["slice"] == "all"}
    # q1 exact, q2 exact after SQuAD drops the article, q3 wrong: 2 of 3.
    assert scores["squad.em"] == pytest.approx(2 / 3)
    absent = run([installed / "vesalius", "fit", "nothing.yaml"], cwd=tmp_path, env=QUIET)
    assert absent.returncode == 2
    assert len(absent.stderr.strip().splitlines()) == 1


def test_scores_need_no_package_of_an_extra() -> None:
    """What scores answers, checks data and compares is imported where the base alone is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    base = {re.match(r"[\w.-]+", line)[0] for line in project["dependencies"]}
    absent = ("torch", "transformers", "httpx2", "fastapi", "fsspec", "sklearn", "datasets", "cv2")
    assert not base & set(absent)
    code = f"""if True:
        import sys
        class Absent:
            def find_spec(name, path=None, target=None):
                if name.split(".")[0] in {absent!r}:
                    raise ModuleNotFoundError(name, name=name)
        sys.meta_path.insert(0, Absent)
        import vesalius.data.check, vesalius.evaluation.compare, vesalius.steps.evaluate
        import vesalius.steps.report, vesalius.steps.table
    """
    done = run([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr[-1000:]


@pytest.mark.parametrize("name", ["align_score", "bleurt", "bertscore"])
def test_a_score_without_its_library_says_so_in_its_protocol(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(machine, "version", absent)
    assert metrics[name]().protocol.version == "not installed"
