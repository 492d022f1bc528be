"""Cloud Run: the script tried dry, the service it would send, and the refusal of a lost disk."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import vesalius
from vesalius.errors import RecipeError
from vesalius.service.settings import Settings

SAID = {
    "PROJECT": "project-1",
    "REGION": "europe-west3",
    "REGISTRY": "registry.example/project-1/images",
    "BUCKET": "pictures-1",
    "WEIGHTS_BUCKET": "weights-1",
    "CLOUD_SQL": "project-1:europe-west3:rows",
}


def deployed(deploy: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(deploy / "cloudrun" / "deploy"), *words],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def dry(deploy: Path) -> str:
    done = deployed(deploy, "--dry-run", **SAID)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def service(dry: str) -> dict[str, Any]:
    text = dry.partition("as it would be sent:\n")[2].partition("\n+ gcloud")[0]
    assert not re.findall(r"\$\{[A-Z_]+\}", text.replace("${...}", ""))
    return dict(yaml.safe_load(text))


def test_a_dry_run_prints_build_tag_push_and_deploy(dry: str) -> None:
    commands = [line[2:].split() for line in dry.splitlines() if line.startswith("+ ")]
    assert [c[:2] for c in commands] == [
        ["docker", "build"],
        ["docker", "tag"],
        ["docker", "push"],
        ["gcloud", "run"],
    ]
    image = commands[2][2]
    assert image.startswith(f"{SAID['REGISTRY']}/vesalius-api:{vesalius.__version__}-")
    assert commands[1][3] == image
    assert commands[0][commands[0].index("--target") + 1] == "api"
    assert commands[3][:4] == ["gcloud", "run", "services", "replace"]


def test_the_commands_are_what_is_run(deploy: Path, tmp_path: Path) -> None:
    """With docker and gcloud that only note how they were called."""
    for name in ("docker", "gcloud"):
        fake = tmp_path / name
        fake.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/called"\n')
        fake.chmod(0o755)
    done = deployed(deploy, **SAID | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    called = (tmp_path / "called").read_text().splitlines()
    assert called == [line[2:] for line in done.stdout.splitlines() if line.startswith("+ ")]
    assert [line.split()[:2] for line in called[:3]] == [
        ["docker", "build"],
        ["docker", "tag"],
        ["docker", "push"],
    ]


def test_a_push_that_fails_deploys_nothing(deploy: Path, tmp_path: Path) -> None:
    for name, code in (("docker", '[ "$1" != push ]'), ("gcloud", "exit 0")):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} >>"{tmp_path}/called"\n{code}\n')
        (tmp_path / name).chmod(0o755)
    done = deployed(deploy, **SAID | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode != 0
    assert (tmp_path / "called").read_text().split() == ["docker"] * 3


@pytest.mark.parametrize("left_out", sorted(SAID))
def test_what_is_missing_is_named(deploy: Path, left_out: str) -> None:
    done = deployed(deploy, "--dry-run", **{k: v for k, v in SAID.items() if k != left_out})
    assert done.returncode == 2
    assert left_out in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("value", ["a b", "x|y", "$(id)", 'a"b', "a\nb"])
def test_values_cannot_break_out_of_the_file(deploy: Path, value: str) -> None:
    done = deployed(deploy, "--dry-run", **SAID | {"BUCKET": value})
    assert done.returncode == 2
    assert "BUCKET" in done.stderr


def test_unknown_options_are_refused(deploy: Path) -> None:
    assert deployed(deploy, "--dryrun", **SAID).returncode == 2


def test_the_readme_names_every_variable(deploy: Path) -> None:
    script = (deploy / "cloudrun" / "deploy").read_text()
    readme = (deploy / "cloudrun" / "README.md").read_text()
    defaulted = set(re.findall(r"\$\{([A-Z_]+):=", script))
    table = {
        n for row in re.findall(r"^\| (`.*?) \|", readme, re.M) for n in re.findall("`(.*?)`", row)
    }
    assert defaulted | set(SAID) == table


def test_the_service_as_sent(service: dict[str, Any], stages: dict[str, Any]) -> None:
    spec = service["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (port,) = container["ports"]
    assert ("EXPOSE", str(port["containerPort"])) in stages["api"]
    assert container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": 8000}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": 8000}
    start = container["startupProbe"]
    assert start["failureThreshold"] * start["periodSeconds"] <= 240  # Cloud Run's own limit
    assert spec["timeoutSeconds"] > Settings().deadline
    assert spec["containerConcurrency"] >= Settings().queue + Settings().batch
    notes = service["spec"]["template"]["metadata"]["annotations"]
    assert notes["run.googleapis.com/cloudsql-instances"] == SAID["CLOUD_SQL"]
    assert notes["run.googleapis.com/cpu-throttling"] == "false"
    assert all(isinstance(value, str) for value in notes.values())
    assert {v["name"] for v in spec["volumes"]} == {m["name"] for m in container["volumeMounts"]}
    # SIGTERM comes ten seconds before the end, and uvicorn waits five beyond the grace.
    values = {e["name"]: e.get("value") for e in container["env"]}
    assert float(values["VESALIUS_DRAIN"]) + float(values["VESALIUS_GRACE"]) + 5 < 10


def test_the_service_is_one_that_starts(
    service: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vesalius.service.settings import settings

    (container,) = service["spec"]["template"]["spec"]["containers"]
    monkeypatch.setenv("K_SERVICE", "vesalius")
    monkeypatch.setenv("VESALIUS_HOST", "0.0.0.0")
    for variable in container["env"]:
        url = "postgresql+pg8000://u:p@/v?unix_sock=/cloudsql/x/.s.PGSQL.5432"
        monkeypatch.setenv(variable["name"], variable.get("value", url))
    found = settings()
    found.require_durable_state()
    assert found.need_keys
    monkeypatch.delenv("VESALIUS_DATABASE_URL")
    with pytest.raises(RecipeError, match="VESALIUS_EPHEMERAL"):
        settings().require_durable_state()
    monkeypatch.setenv("VESALIUS_EPHEMERAL", "true")
    settings().require_durable_state()


def test_the_socket_in_the_readme_is_one_that_the_driver_takes(deploy: Path) -> None:
    pytest.importorskip("pg8000")
    from sqlalchemy import create_engine

    readme = (deploy / "cloudrun" / "README.md").read_text()
    (url,) = re.findall(r"^ +(postgresql\+pg8000://\S+\?\S+)$", readme, re.M)
    engine = create_engine(url)
    _, options = engine.dialect.create_connect_args(engine.url)
    assert options["unix_sock"].startswith("/cloudsql/")
    assert options["unix_sock"].endswith("/.s.PGSQL.5432")
    assert options["database"] == "vesalius"


def test_shells_accept_the_scripts(deploy: Path) -> None:
    shell = shutil.which("dash") or "/bin/sh"
    for name in ("cloudrun/deploy", "space/assemble", "new-secrets", "entrypoint"):
        path = deploy / name
        assert os.access(path, os.X_OK), name
        subprocess.run([shell, "-n", str(path)], check=True)
