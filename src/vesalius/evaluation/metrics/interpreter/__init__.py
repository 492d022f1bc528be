"""One request to another interpreter: a line of JSON there, a line back, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("child.py")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_START = 60.0


def ask(
    python: str,
    request: Mapping[str, Any],
    *,
    weights: str | None = None,
    network: bool = False,
    timeout: float = _START,
) -> dict[str, Any]:
    """The reply of ``python`` to a request, or ``{"error": why there is none}``.

    ``weights`` is the folder that stands for the hub's cache (``HF_HOME``). The child is ended when
    ``timeout`` (seconds) is over, or this process is. Its standard error is never read.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.upper().endswith(_SECRET)
    }
    environment |= {} if network else _OFFLINE
    environment |= {"HF_HOME": weights} if weights else {}
    line = json.dumps({**request, "network": network}) + "\n"
    try:
        child = subprocess.Popen(  # noqa: S603 - the interpreter that the user named
            [python, "-I", str(CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        return {"error": f"{python} cannot be started: {error.strerror}"}
    try:
        out, _ = child.communicate(line, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"it did not answer in {timeout:g} s"}
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
    return _reply(out, child.returncode)


def scores(
    python: str,
    package: str,
    request: Mapping[str, Any],
    pairs: Sequence[tuple[str, str]],
    keys: Sequence[str],
    **how: Any,
) -> tuple[Mapping[str, Sequence[float]], str]:
    """By key a score of each pair (answer, reference), or none and why; ``how`` as of :func:`ask`.

    Too few scores, or one that is no number, are none.
    """
    texts = {"answers": [a for a, _ in pairs], "references": [r for _, r in pairs]}
    reply = ask(python, {**request, "package": package, "keys": list(keys), **texts}, **how)
    fault = reply.get("error", "") or _fault(reply.get("scores"), keys, len(pairs))
    return ({}, fault) if fault else (reply["scores"], "")


@lru_cache
def installed(python: str, package: str) -> Mapping[str, Any]:
    """What the interpreter has of a package, or why it cannot be asked; once a process."""
    return ask(python, {"package": package})


def _fault(values_by_key: Any, keys: Sequence[str], n: int) -> str:
    """What is wrong with scores that came back; empty where nothing is."""
    for key in keys:
        values = values_by_key.get(key) if isinstance(values_by_key, dict) else None
        if not isinstance(values, list) or len(values) != n:
            return f"it gave {len(values or ())} scores of {key} for {n} texts"
        if not all(isinstance(v, int | float) and isfinite(v) for v in values):
            return f"a score of {key} is no number"
    return ""


def _reply(out: str, code: int) -> dict[str, Any]:
    """The last line that is a reply; what else stands there is not repeated."""
    for line in reversed(out.splitlines()):
        try:
            reply = json.loads(line)
        except ValueError:
            continue
        if isinstance(reply, dict) and reply.pop("vesalius", None) == 1:
            return reply
    return {"error": f"it ended without a reply (exit {code})"}
