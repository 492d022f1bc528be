"""compose.yaml: valid, closed, healthy, and its secrets files that are made once."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import vesalius
from vesalius.service.settings import Settings

Compose = dict[str, Any]
ONCE = ("key", "bucket")
CHOICES = {"ANSWERS": ("run", "vllm"), "PICTURES": ("folder", "s3")}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_it_follows_the_compose_specification(deploy: Path, name: str) -> None:
    """Against the specification's own schema, which check-jsonschema brings along."""
    found = importlib.util.find_spec("check_jsonschema")
    if found is None or found.origin is None:
        pytest.skip("no check-jsonschema, which holds the schema")
    import jsonschema

    vendored = Path(found.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text())
    jsonschema.validate(yaml.safe_load((deploy / name).read_text()), schema)


def test_docker_reads_it(deploy: Path, tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("no docker")
    known = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if known.returncode:
        pytest.skip("docker has no compose plugin here")
    shutil.copytree(deploy, tmp_path / "deploy")
    subprocess.run([str(tmp_path / "deploy" / "new-secrets")], check=True)
    command = [docker, "compose", "-f", str(tmp_path / "deploy" / "compose.yaml")]
    done = subprocess.run(
        [*command, "--profile", "vllm", "--profile", "s3", "config", "--quiet"],
        env={"PATH": "/usr/bin:/bin", "WEIGHTS": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_choice_has_its_file_and_is_explained(deploy: Path, compose: Compose) -> None:
    files = compose["services"]["api"]["env_file"]
    assert files == ["env/common.env", "env/${ANSWERS:-run}.env", "env/${PICTURES:-folder}.env"]
    named = {"common", *(choice for choices in CHOICES.values() for choice in choices)}
    assert {path.stem for path in (deploy / "env").iterdir()} == named
    head = (deploy / "compose.yaml").read_text().partition("\nname:")[0]
    used = set(re.findall(r"\$\{([A-Z_]+)", (deploy / "compose.yaml").read_text()))
    explained = set(re.findall(r"^# ([A-Z]+) ", head, re.M))
    small = {"API_CPUS", "API_MEMORY", "VLLM_MEMORY", "VLLM", "TORCH_INDEX"}
    assert explained == used - small


@pytest.mark.parametrize("answers", CHOICES["ANSWERS"])
@pytest.mark.parametrize("pictures", CHOICES["PICTURES"])
def test_every_choice_is_a_valid_service(
    deploy: Path, monkeypatch: pytest.MonkeyPatch, answers: str, pictures: str
) -> None:
    from vesalius.service.settings import settings

    for name in ("common", answers, pictures):
        for line in (deploy / "env" / f"{name}.env").read_text().splitlines():
            if line and not line.startswith("#"):
                monkeypatch.setenv(*line.split("=", 1))
    monkeypatch.setenv("VESALIUS_HOST", "0.0.0.0")
    monkeypatch.setenv("VESALIUS_DATABASE_URL", "postgresql+pg8000://u:p@postgres/v")
    found = settings()
    assert found.need_keys
    assert (found.run is not None) == (answers == "run")
    assert found.pictures.startswith("s3://" if pictures == "s3" else "/var/lib/vesalius")


def test_services_are_closed_and_bounded(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        limits = service["deploy"]["resources"]["limits"]
        assert {"memory", "pids"} <= set(limits), name
        assert service["logging"]["options"]["max-size"], name
        for port in service.get("ports", []):
            assert port.startswith("${BIND:-127.0.0.1}:"), f"{name} is open to the network"
        for volume in service.get("volumes", []):
            assert "docker.sock" not in str(volume)


def test_only_the_door_can_be_reached(deploy: Path, compose: Compose) -> None:
    assert compose["networks"]["inside"] == {"internal": True}
    outside = {n for n, s in compose["services"].items() if "outside" in s["networks"]}
    assert outside == {"door"}
    assert {n for n, s in compose["services"].items() if s.get("ports")} == outside
    # The pages believe a header; the door is the one that sets it.
    header = compose["services"]["web"]["environment"]["VESALIUS_WEB_USER_HEADER"]
    conf = (deploy / "nginx" / "nginx.conf").read_text()
    assert f"proxy_set_header {header} $remote_user;" in conf
    named = re.findall(r"server (\w+):(\d+)", (deploy / "nginx/upstreams.compose.conf").read_text())
    assert named == [("api", "8000"), ("web", "8501")]


def test_everything_that_stays_is_asked_how_it_is(compose: Compose) -> None:
    for name, service in compose["services"].items():
        if name in ONCE:
            assert service["restart"] == "no"
            assert service["healthcheck"] == {"disable": True}
        elif name != "web":  # its image has one
            assert service["healthcheck"]["test"][0] == "CMD", name
    grace = compose["services"]["api"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings().grace + 10


def test_our_images_are_of_this_version(compose: Compose) -> None:
    ours = {s["image"] for s in compose["services"].values() if "build" in s}
    assert ours == {f"vesalius-{n}:{vesalius.__version__}" for n in ("api", "web")}


def test_secrets_are_files(deploy: Path, compose: Compose) -> None:
    for service in compose["services"].values():
        environment = service.get("environment", {})
        for name, value in environment.items():
            if re.search(r"PASSWORD|SECRET|KEY|TOKEN|DATABASE_URL", name):
                assert name.endswith("_FILE"), name
                assert value.startswith("/run/"), name
        named = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
        assert named <= set(compose["secrets"])
    assert (deploy / "secrets" / ".gitignore").read_text().splitlines()[0] == "*"


def test_secrets_are_made_once_and_fit_together(
    deploy: Path, compose: Compose, tmp_path: Path
) -> None:
    from sqlalchemy.engine import make_url

    folder = tmp_path / "secrets"
    subprocess.run([str(deploy / "new-secrets"), str(folder)], check=True)
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert {f"secrets/{name}" for name in made} == {s["file"] for s in compose["secrets"].values()}
    assert made["users"] == ""  # nobody is let in until somebody says so
    url = make_url(made["database_url"])
    assert url.password == made["postgres_password"]
    assert len(made["postgres_password"]) == 64  # 32 random bytes in hexadecimal
    database = compose["services"]["postgres"]["environment"]
    assert (url.username, url.database) == (database["POSTGRES_USER"], database["POSTGRES_DB"])
    assert url.host == "postgres"
    identity = json.loads(made["objects.json"])["identities"][0]["credentials"][0]
    assert identity["accessKey"] in made["aws_credentials"]
    assert identity["secretKey"] in made["aws_credentials"]
    # Containers run as another user: the files are readable, their folder is not.
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o004 for path in folder.iterdir())
    subprocess.run([str(deploy / "new-secrets"), str(folder)], check=True)
    assert made == {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.slow
def test_the_bucket_is_made_and_used_with_these_variables(
    deploy: Path, compose: Compose, tmp_path: Path
) -> None:
    """The one-shot's own command and the store, against a server that speaks S3."""
    server = pytest.importorskip("moto.server")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    try:
        subprocess.run([str(deploy / "new-secrets"), str(tmp_path / "secrets")], check=True)
        env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
        for line in (deploy / "env" / "s3.env").read_text().splitlines():
            if line and not line.startswith("#"):
                env.update([line.split("=", 1)])
        env["AWS_ENDPOINT_URL"] = "http://{}:{}".format(*running.get_host_and_port())
        env["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "secrets" / "aws_credentials")
        make = compose["services"]["bucket"]["command"]
        code = (
            "import os; from vesalius.service.store import Store;"
            f"s = Store('sqlite:///{tmp_path}/v.db', os.environ['VESALIUS_PICTURES_URL']);"
            "s.migrate(); s.ping()"
        )
        for words in (make, make, ["python", "-c", code]):  # made twice: what is there is left
            command = [sys.executable, *words[1:]]
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
    finally:
        running.stop()
