"""Run by another interpreter, which has RadEval: one request on standard input, one reply.

It knows nothing of Vesalius and needs the standard library alone. Whatever a library prints goes to
standard error, which nobody reads: it may hold patients' text. Errors are told by their type.
"""

import importlib
import importlib.metadata
import inspect
import json
import os
import socket
import sys
import threading
import time
from typing import Any

LOCAL = ("127.", "::1", "localhost")


class NetworkRefused(OSError):
    """A connection to another machine, which nobody asked for."""


def close_network() -> None:
    """Refuse every connection that leaves this machine."""

    def guarded(call: Any) -> Any:
        def connect(self: Any, address: Any, *rest: Any) -> Any:
            outside = self.family in (socket.AF_INET, socket.AF_INET6)
            if outside and not str(address[0]).startswith(LOCAL):
                raise NetworkRefused("no network")
            return call(self, address, *rest)

        return connect

    def look_up(host: Any, *rest: Any, **more: Any) -> Any:
        if host is not None and not str(host).startswith(LOCAL):
            raise NetworkRefused("no network")
        return getaddrinfo(host, *rest, **more)

    getaddrinfo = socket.getaddrinfo
    socket.getaddrinfo = look_up
    for name in ("connect", "connect_ex"):
        setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


def end_with(parent: int) -> None:
    """End when the process that asked is no more."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The versions, and for a request with texts each score of each text."""
    versions = {"RadEval": importlib.metadata.version("RadEval"), "python": sys.version.split()[0]}
    if "references" not in request:
        return {"versions": versions}
    kind = importlib.import_module("RadEval").RadEval
    flag = request["flag"]
    if flag not in inspect.signature(kind).parameters:
        return {"error": "this RadEval has no " + flag}
    scorer = kind(**{flag: True, "do_per_sample": True, "show_progress": False})
    scores = scorer(refs=request["references"], hyps=request["answers"])
    values = {key: [float(one) for one in scores[key]] for key in request["keys"]}
    return {"versions": versions, "scores": values}


def main() -> None:
    """Read the request, answer it in one line."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    request = json.loads(sys.stdin.readline())
    if not request["network"]:
        close_network()
    try:
        reply = answer(request)
    except importlib.metadata.PackageNotFoundError:
        reply = {"error": "RadEval is not installed there"}
    except NetworkRefused:
        reply = {"error": "it wanted the network, which is closed (name its weights' hub id)"}
    except Exception as error:  # noqa: BLE001 - a message may hold a patient's text, a type none
        reply = {"error": "RadEval failed: " + type(error).__name__}
    replies.write(json.dumps({"vesalius": 1, **reply}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
