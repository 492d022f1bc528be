"""What deploy/ holds, read once for its tests."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "kubernetes" / "base"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def deploy() -> Path:
    """The folder under test."""
    return DEPLOY


@pytest.fixture(scope="session")
def texts() -> dict[str, str]:
    """Every file of deploy/ by its path there; what a person fills in is not one of them."""
    own = (p for p in sorted(DEPLOY.rglob("*")) if p.is_file() and p.name != "secret.yaml")
    kept = (p for p in own if p.parent != DEPLOY / "secrets" and "__pycache__" not in p.parts)
    return {path.relative_to(DEPLOY).as_posix(): path.read_text() for path in kept}


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """compose.yaml with its merges done."""
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


@pytest.fixture(scope="session")
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Kubernetes objects by (kind, name)."""
    return {(m["kind"], m["metadata"]["name"]): m for m in _objects()}


def _objects() -> Iterator[dict[str, Any]]:
    for path in sorted(BASE.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


@pytest.fixture(scope="session")
def stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages: (instruction, rest) a line, those of its parents before its own."""
    return read_stages((DEPLOY / "Dockerfile").read_text())


def read_stages(text: str) -> dict[str, list[tuple[str, str]]]:
    """As ``stages``, of any Dockerfile; a last stage without a name is called ``last``."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", text, flags=re.M)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            parent, _, name = rest.partition(" AS ")
            name = name or "last"
            # packages-${FLAVOUR}: the default's.
            found[name] = list(found.get(parent.replace("${FLAVOUR}", "cpu"), []))
        if word and name:
            found[name].append((word, rest))
    return found


@pytest.fixture(scope="session")
def started(stages: dict[str, list[tuple[str, str]]]) -> dict[str, list[str]]:
    """What ``api`` and ``web`` run: the words of their last CMD, a shell around them taken off."""
    found = {}
    for name in ("api", "web"):
        words = json.loads([rest for word, rest in stages[name] if word == "CMD"][-1])
        shell = words[:2] == ["sh", "-c"]
        found[name] = shlex.split(words[2].removeprefix("exec ")) if shell else words
    return found
