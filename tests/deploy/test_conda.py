"""The conda recipe says what pyproject.toml says: version, Python, dependencies, licence."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from vesalius.cli.main import app
from vesalius.system.version import __version__

CONDA_NAMES: dict[str, str] = {}
"""What conda-forge calls otherwise than the index of Python packages: nothing of the base today."""


@pytest.fixture(scope="session")
def recipe(deploy: Path) -> dict[str, Any]:
    """The recipe with its context put in."""
    text = (deploy / "conda" / "recipe.yaml").read_text("utf-8")
    for name, value in yaml.safe_load(text)["context"].items():
        text = text.replace(f"${{{{ {name} }}}}", str(value))
    return yaml.safe_load(text)


@pytest.fixture(scope="session")
def pyproject(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))


def matched(requirements: list[str]) -> dict[str, str]:
    """Bounds by name, as conda writes them."""
    split = (re.fullmatch(r"([\w.-]+) ?(.*)", line) for line in requirements)
    return {CONDA_NAMES.get(one[1], one[1]): one[2] for one in split}


def test_it_is_of_this_version_and_licence(recipe: dict[str, Any], pyproject: Any) -> None:
    assert recipe["schema_version"] == 1
    assert recipe["package"] == {"name": pyproject["project"]["name"], "version": __version__}
    assert recipe["about"]["license"] == pyproject["project"]["license"]
    assert [recipe["about"]["license_file"]] == pyproject["project"]["license-files"]
    assert recipe["about"]["documentation"] == pyproject["project"]["urls"]["Documentation"]


def test_it_depends_on_what_the_base_depends_on(recipe: dict[str, Any], pyproject: Any) -> None:
    run = matched(recipe["requirements"]["run"])
    assert run.pop("python") == pyproject["project"]["requires-python"]
    assert run == matched(pyproject["project"]["dependencies"])
    host = matched(recipe["requirements"]["host"])
    assert host.pop("python") == f"{recipe['context']['python_min']}.*"
    assert host.pop("pip") == ""
    assert host == matched(pyproject["build-system"]["requires"])


def test_its_command_and_what_it_tries_exist(
    recipe: dict[str, Any], pyproject: Any, deploy: Path
) -> None:
    scripts = [f"{name} = {place}" for name, place in pyproject["project"]["scripts"].items()]
    assert recipe["build"]["python"]["entry_points"] == scripts
    assert (deploy / "conda" / recipe["source"]["path"] / "pyproject.toml").is_file()
    group = typer.main.get_command(app)
    for line in recipe["tests"][1]["script"]:
        program, *words = shlex.split(line)
        assert program == "vesalius"
        command = group
        while words and not words[0].startswith("-") and hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        options = {name for one in command.params for name in one.opts} | {"--help"}
        assert {word for word in words if word.startswith("-")} <= options
