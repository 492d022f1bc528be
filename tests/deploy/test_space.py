"""The Hugging Face Space: its front matter, its image, and the folder that is pushed."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

# huggingface.co/docs/hub/spaces-config-reference, those that a Docker Space may have.
KEYS = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "app_port", "base_path", "fullWidth", "header",
    "short_description", "models", "datasets", "tags", "thumbnail", "pinned", "hf_oauth",
    "hf_oauth_scopes", "hf_oauth_expiration_minutes", "disable_embedding",
    "startup_duration_timeout", "custom_headers", "preload_from_hub", "suggested_hardware",
    "suggested_storage", "license",
}  # fmt: skip
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def test_the_front_matter_is_one_of_a_docker_space(texts: dict[str, str]) -> None:
    _, head, body = texts["space/README.md"].split("---\n", 2)
    said = yaml.safe_load(head)
    assert set(said) <= KEYS
    assert said["sdk"] == "docker"
    assert {said["colorFrom"], said["colorTo"]} <= COLOURS
    assert len(said["short_description"]) <= 60
    assert re.fullmatch(r"\d+[smhd]|\d+ \w+", str(said["startup_duration_timeout"]))
    assert said["license"] == "apache-2.0"
    assert "research use only" in body


def test_port_and_user_are_those_of_the_hub(texts: dict[str, str]) -> None:
    port = yaml.safe_load(texts["space/README.md"].split("---\n")[1])["app_port"]
    made = texts["space/Dockerfile"]
    assert port == 7860
    assert f"EXPOSE {port}\n" in made
    assert f"--web-port {port}" in made
    assert f"http://127.0.0.1:{port}/" in made
    assert "--uid 1000" in made


def test_it_is_the_front_end_alone(texts: dict[str, str]) -> None:
    made = texts["space/Dockerfile"]
    assert re.findall(r'"\.\[(.*?)\]"', made) == ["web"]
    assert "login && exec vesalius web" in made
    head = yaml.safe_load(texts["space/README.md"].split("---\n")[1])
    assert head["hf_oauth"] is True
    for name in ("VESALIUS_API_URL", "VESALIUS_API_KEY"):
        assert f"| `{name}` |" in texts["space/README.md"]
        assert not re.search(rf"{name}[= ]\S*=", made), f"{name} is set in the image"


def test_the_assembled_folder_holds_all_that_is_copied(deploy: Path, tmp_path: Path) -> None:
    target = tmp_path / "space"
    (target / "src" / "stale").mkdir(parents=True)
    (target / ".git").mkdir()
    done = subprocess.run(
        [str(deploy / "space" / "assemble"), "space"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for rest in re.findall(r"^COPY (.*)$", (target / "Dockerfile").read_text(), re.M):
        for name in (word for word in rest.split()[:-1] if not word.startswith("--")):
            assert (target / name).exists(), name
    assert (target / "README.md").read_text().startswith("---\n")
    assert (target / "src" / "vesalius" / "__init__.py").exists()
    assert not (target / "src" / "stale").exists()
    assert (target / ".git").exists()
    assert not list(target.rglob("__pycache__"))
    assert not list(target.rglob("*.egg-info"))


OAUTH = {
    "OAUTH_CLIENT_ID": "11111111-2222",
    "OAUTH_CLIENT_SECRET": 'a"b\\c',
    "OPENID_PROVIDER_URL": "https://hub.example/",
    "SPACE_HOST": "someone-vesalius.hf.example",
}


def signed_in(deploy: Path, home: Path, said: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(deploy / "space" / "login")]
    env = {"HOME": str(home), **said}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_people_sign_in_with_the_hub(deploy: Path, tmp_path: Path) -> None:
    done = signed_in(deploy, tmp_path, OAUTH)
    assert done.returncode == 0, done.stderr
    path = tmp_path / ".streamlit" / "secrets.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    said = tomllib.loads(path.read_text())["auth"]
    assert said["redirect_uri"] == "https://someone-vesalius.hf.example/oauth2callback"
    assert said["client_secret"] == OAUTH["OAUTH_CLIENT_SECRET"]
    assert said["server_metadata_url"] == ("https://hub.example/.well-known/openid-configuration")
    assert len(said["cookie_secret"]) >= 64
    signed_in(deploy, tmp_path, OAUTH)
    assert tomllib.loads(path.read_text())["auth"]["cookie_secret"] != said["cookie_secret"]


@pytest.mark.parametrize("left_out", sorted(OAUTH))
def test_without_the_hubs_login_it_does_not_start(
    deploy: Path, tmp_path: Path, left_out: str
) -> None:
    done = signed_in(deploy, tmp_path, {k: v for k, v in OAUTH.items() if k != left_out})
    assert done.returncode == 2
    assert left_out in done.stderr
    assert not (tmp_path / ".streamlit").exists()


@pytest.mark.parametrize("words", [[], [""]])
def test_a_folder_must_be_named(deploy: Path, words: list[str]) -> None:
    command = [str(deploy / "space" / "assemble"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "name the folder" in done.stderr
