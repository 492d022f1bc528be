"""What deploy/ says is so: variables, command lines, versions; and what it must never say."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from vesalius.data.open import HOME
from vesalius.service.settings import Settings

NOT_OURS = ("-n", "--namespace", "namespace")
"""Words after which ``vesalius`` is a namespace."""


@pytest.fixture(scope="module")
def known_commands(root: Path) -> Iterator[tuple[ModuleType, dict[str, Any]]]:
    """The docs' reader of the command tree, and the tree."""
    extension = str(root / "docs" / "_ext")
    sys.path.insert(0, extension)
    try:
        import vesalius_docs

        yield vesalius_docs.cli, vesalius_docs.cli.commands()
    finally:
        sys.path.remove(extension)


def command_lines(text: str) -> Iterator[list[str]]:
    """The words after ``vesalius`` wherever it is run: YAML and JSON lists, shell, comments."""
    for line in text.replace("\\\n", " ").splitlines():
        listed = re.search(r'\["?vesalius"?,', line)
        words = re.sub(r'[\[\]",`\\]' if listed else r'["`\\]', " ", line).split()
        for at, word in enumerate(words[:-1]):
            before = words[at - 1] if at else ""
            follows = re.fullmatch(r"[a-z][a-z-]*\)?", words[at + 1])
            if word != "vesalius" or before in NOT_OURS or not follows:
                continue
            rest = words[at + 1 :]
            stop = next((i for i, w in enumerate(rest) if w in {">", "|", "&&", ";"}), len(rest))
            yield [w.rstrip(").;:") for w in rest[:stop]]


def test_every_variable_is_a_setting(root: Path, texts: dict[str, str]) -> None:
    settings = {f"VESALIUS_{name.upper()}" for name in Settings.model_fields}
    pages = (root / "src" / "vesalius" / "service" / "web").glob("*.py")
    known = (
        settings
        | {HOME}
        | {v for p in pages for v in re.findall(r"VESALIUS_[A-Z_]+", p.read_text())}
    )
    assert "VESALIUS_API_URL" in known
    for name, text in texts.items():
        for variable in set(re.findall(r"\bVESALIUS_[A-Z0-9_]*[A-Z0-9]\b", text)):
            if name == "entrypoint" and variable.startswith("VESALIUS_X"):
                continue  # its comment's example
            assert variable.removesuffix("_FILE") in known, f"{name}: {variable}"


def test_every_command_line_exists(
    texts: dict[str, str], known_commands: tuple[ModuleType, dict[str, Any]]
) -> None:
    reader, commands = known_commands
    seen = set()
    for name, text in texts.items():
        code = "\n".join(re.findall(r"`+([^`]+)`+", text)) if name.endswith(".md") else text
        for words in command_lines(code):
            command = " ".join(words[:2]) if " ".join(words[:2]) in commands else words[0]
            assert command in commands, f"{name}: vesalius {' '.join(words)}"
            flags = {w.split("=")[0] for w in words if re.match(r"--[a-z]", w)}
            assert flags <= reader.options(commands[command]), f"{name}: {words}"
            seen.add(command)
    assert {"serve", "web", "keys create"} <= seen


def test_no_image_is_latest(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        assert not re.search(r":latest\b", text), name
        for image in re.findall(r"^\s*(?:- )?image: (\S+)", text, re.M):
            ours = re.fullmatch(r"vesalius-(api|web)", image)  # kustomization gives their tag
            assert ours or re.search(r":[\w.${}:-]+$|^\$\{IMAGE\}$", image), f"{name}: {image}"
    for name in ("Dockerfile", "baked.Dockerfile", "space/Dockerfile"):
        stages = set(re.findall(r" AS (\S+)", texts[name]))
        for image in re.findall(r"^FROM (\S+)", texts[name], re.M):
            inner = image in stages or image.startswith(("packages-", "${API}"))
            assert inner or re.search(r":.*(\d|\$\{PYTHON\})", image), f"{name}: {image}"


SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    r"\bhf_[A-Za-z]{30,}\b",
    r"\bvsk_\w{10,}",
    r"\bgh[pousr]_\w{30,}\b",
    r"\b[0-9a-fA-F]{32,}\b",
    r"\b[A-Za-z0-9+]{40,}={0,2}",
)


def test_no_secret_is_written_down(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        for line in text.splitlines():
            for pattern in SECRETS:
                assert not re.search(pattern, line), f"{name}: {line}"
            for password in re.findall(r"://[\w-]+:([^@\s'\"`]+)@", line):
                assert password in {"CHANGE-ME", "PASSWORD", "%s"}, f"{name}: {line}"
    for line in texts["kubernetes/base/secret.example.yaml"].splitlines():
        value = re.match(r"  \w+: (.*)", line)
        if value and "stringData" not in line and not line.strip().startswith("name"):
            assert "CHANGE-ME" in value[1], line


def test_ports_agree(texts: dict[str, str]) -> None:
    """8000 is the API, 8501 the pages; 7860 the Space."""
    assert Settings.model_fields["port"].default == 8000
    for name, text in texts.items():
        for probed in re.findall(r"http://127\.0\.0\.1:(\d+)/(\w+)", text):
            wanted = {"healthz": "8000", "readyz": "8000"}.get(probed[1])
            assert wanted in {None, probed[0]}, name
    assert "--web-port 8501" in texts["Dockerfile"]
    assert "server 127.0.0.1:8501;" in texts["nginx/upstreams.conf"]


def test_no_index_of_packages_is_named(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        for pattern in (r"--(?:extra-)?index-url\s+(\S+)", r"\bTORCH_INDEX=(\S+)"):
            for value in re.findall(pattern, text):
                assert value.startswith(('"$', "$", "${")), f"{name}: {value}"


def test_every_setting_is_in_the_reference(
    root: Path, known_commands: tuple[ModuleType, dict[str, Any]]
) -> None:
    from vesalius_docs import service

    grouped = [name for names in service.groups(Settings).values() for name in names]
    assert sorted(grouped) == sorted(Settings.model_fields)
    text = service.page()
    for name, field in Settings.model_fields.items():
        assert f"| `VESALIUS_{name.upper()}` |" in text
        assert field.description, name
    guide = (root / "docs" / "guide" / "deploy.md").read_text()
    assert "../reference/service.md" in guide
    for variable in set(re.findall(r"\bVESALIUS_[A-Z_]*[A-Z]\b", guide)):
        own = {f"VESALIUS_{name.upper()}" for name in Settings.model_fields}
        assert variable.removesuffix("_FILE") in own | {"VESALIUS_API_URL", "VESALIUS_API_KEY"}


def test_the_guide_names_files_that_are_there(root: Path, texts: dict[str, str]) -> None:
    guide = (root / "docs" / "guide" / "deploy.md").read_text()
    named = set(re.findall(r"deploy/[\w./-]*\w", guide))
    there = {f"deploy/{name}" for name in texts}
    made = {"deploy/secrets/users", "deploy/secrets/tls.crt"}  # by new-secrets
    folders = {p.rpartition("/")[0] for p in there} | {"deploy/kubernetes"}
    assert named <= there | made | folders, named - there - made - folders
