"""Runs the parts of the GPU check, each in a process of its own, and keeps what each row says at once.

A part that fails, is killed at its time, or lacks a package is told as such; the others go on.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = ("exact", "scaler", "nf4", "training", "prediction", "service", "pipeline")
PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "bitsandbytes", "vesalius")


def main() -> int:
    """Exit code 1 if a row failed; a part that was skipped is none that failed."""
    parser = argparse.ArgumentParser(prog="scripts/gpu-check", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART",
                        help=f"of {', '.join(PARTS)}")  # fmt: skip
    parser.add_argument("--skip", nargs="+", choices=PARTS, default=(), metavar="PART")
    parser.add_argument("--tiny", action="store_true", help="toy sizes: proves it without a GPU")
    parser.add_argument("--minutes", type=float, default=9.5, help="for all parts together")
    parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        return _run_here(chosen.part, small=chosen.tiny)
    parts = [name for name in chosen.only if name not in chosen.skip]
    report: dict[str, Any] = {"machine": _machine(), "tiny": chosen.tiny, "parts": {}}
    until = time.monotonic() + 60 * chosen.minutes
    for name in parts:
        started = time.monotonic()
        report["parts"][name] = part = {"rows": []}
        for row in _rows(name, small=chosen.tiny, until=until):
            print(json.dumps({"part": name, **row}), file=sys.stderr, flush=True)
            part["rows"].append(row)
            _write(report, chosen.out)
        part["seconds"] = round(time.monotonic() - started, 1)
        _write(report, chosen.out)
    print(json.dumps(report))
    rows = [row for part in report["parts"].values() for row in part["rows"]]
    return int(any("failed" in row or row.get("ok") is False for row in rows))


def _run_here(name: str, *, small: bool) -> int:
    """One part in this process: its rows on stdout, a line each; all else goes to stderr."""
    from vesalius.errors import MissingExtra

    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with redirect_stdout(sys.stderr):
        for about, work in importlib.import_module(f"benchmarks.gpu.{name}").tasks(small=small):
            started = time.monotonic()
            try:
                row = about | work()
            except (ImportError, MissingExtra) as error:
                row = about | {"skipped": str(error).splitlines()[0]}
            except (Exception, SystemExit) as error:  # noqa: BLE001  # a row that fails is a result
                traceback.print_exc()
                first = str(error).splitlines()[:1]
                row = about | {"failed": f"{type(error).__name__}: {''.join(first)[:300]}"}
            row["took_s"] = round(time.monotonic() - started, 1)
            print(json.dumps(row), file=out, flush=True)
    return 0


def _rows(name: str, *, small: bool, until: float) -> Iterator[dict[str, Any]]:
    left = until - time.monotonic()
    if left <= 0:
        yield {"skipped": "no time was left"}
        return
    command = [sys.executable, str(ROOT / "scripts" / "gpu-check"), "--part", name]
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    process = subprocess.Popen(
        command + ["--tiny"] * small,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,  # so that a service it started ends with it
    )
    timer = threading.Timer(left, _kill, [process])
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process)
    if code:
        late = time.monotonic() >= until
        yield {"skipped": "cut when the time was up"} if late else {"failed": f"exit code {code}"}


def _kill(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _machine() -> dict[str, Any]:
    import torch

    cuda = torch.cuda.is_available()
    about = torch.cuda.get_device_properties(0) if cuda else None
    return {
        "device": about.name if about else platform.processor() or platform.machine(),
        "memory_gib": round(about.total_memory / 2**30, 1) if about else None,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "packages": dict(_versions()),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, metadata.version(package)
        except metadata.PackageNotFoundError:
            yield package, "absent"


def _write(report: dict[str, Any], path: Path) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_text(json.dumps(report, indent=1), encoding="utf-8")
    beside.replace(path)
