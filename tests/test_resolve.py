"""``scripts/resolve`` asks about every extra and tells what fails; uv is a script here."""

from __future__ import annotations

import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
UV = """#!/bin/sh
echo "$@" >> {log}
case "$*" in
*"lowest-direct"*"--extra web"*)
  printf 'error: No solution found\\n  cause: Because streamlit==1 is gone, it fails.\\n' >&2
  exit 1;;
esac
echo "numpy==2.4.6"
echo "Somebody_Else[all]==1.0"
"""


@pytest.fixture
def resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loader = SourceFileLoader("resolve", str(ROOT / "scripts" / "resolve"))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    module = module_from_spec(spec_from_loader("resolve", loader))
    monkeypatch.setitem(__import__("sys").modules, "resolve", module)
    loader.exec_module(module)
    uv = tmp_path / "uv"
    uv.write_text(UV.format(log=tmp_path / "log"))
    uv.chmod(0o755)
    monkeypatch.setattr(module, "UV", uv)
    return module


def test_every_extra_is_asked_about_on_every_python_and_failures_are_told(
    resolve: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["resolve"])
    assert resolve.main() == 1
    lines = capsys.readouterr().out.splitlines()
    extras = ["(none)", *PROJECT["optional-dependencies"]]
    pythons = ["3.11", "3.12", "3.13"]
    failed = "FAILS: Because streamlit==1 is gone, it fails."
    for python in pythons:
        assert f"{python} oldest      web {failed}" in lines
        for extra in extras:
            assert f"{python} newest      {extra} ok" in lines
    pins = "FAILS: constraints.txt does not pin somebody-else"
    assert f"3.11 constrained (none) {pins}" in lines
    asked = len(extras) * (2 * len(pythons) + 1)
    assert lines[-1] == f"{asked - len(pythons) - len(extras)} of {asked} resolve"
    assert len((tmp_path / "log").read_text().splitlines()) == asked


def test_one_extra_on_one_python_can_be_asked_about(
    resolve: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["resolve", "--python", "3.13", "--extra", "serve"])
    assert resolve.main() == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 of 2 resolve"
    monkeypatch.setattr("sys.argv", ["resolve", "--extra", "no-such"])
    with pytest.raises(SystemExit):
        resolve.main()
    assert "no extra called no-such" in capsys.readouterr().err


def test_each_package_is_pinned_once(resolve: ModuleType) -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert len(resolve.names("\n".join(lines))) == len(lines)
