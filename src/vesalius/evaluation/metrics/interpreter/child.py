"""Run by another interpreter, which has what scores: one request on standard input, one reply.

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


BATCH = 32


class Refused(Exception):
    """What is asked for cannot be had there; in words of ours."""


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


def radeval(request: dict[str, Any]) -> dict[str, list[float]]:
    """Scores of each text by RadEval's own keys."""
    kind = importlib.import_module("RadEval").RadEval
    flag = request["flag"]
    if flag not in inspect.signature(kind).parameters:
        raise Refused("this RadEval has no " + flag)
    scorer = kind(**{flag: True, "do_per_sample": True, "show_progress": False})
    scores = scorer(refs=request["references"], hyps=request["answers"])
    return {key: [float(one) for one in scores[key]] for key in request["keys"]}


def bleurt(request: dict[str, Any]) -> dict[str, list[float]]:
    """BLEURT-20 and its distilled forms, from a folder."""
    library, torch = map(importlib.import_module, ("bleurt_pytorch", "torch"))
    model = library.BleurtForSequenceClassification.from_pretrained(request["model"]).eval()
    tokenizer = library.BleurtTokenizer.from_pretrained(request["model"])
    values: list[float] = []
    for at in range(0, len(request["answers"]), BATCH):
        pair = (request[side][at : at + BATCH] for side in ("references", "answers"))
        batch = tokenizer(
            *pair, padding="longest", truncation=True, max_length=512, return_tensors="pt"
        )
        with torch.no_grad():
            values += [float(one) for one in model(**batch).logits.flatten().tolist()]
    return {"bleurt": values}


def align_score(request: dict[str, Any]) -> dict[str, list[float]]:
    """The authors' package on their checkpoint; its base model is looked for in HF_HOME."""
    scorer = importlib.import_module("alignscore").AlignScore(
        model=request["base"],
        batch_size=BATCH,
        device="cpu",
        ckpt_path=request["model"],
        evaluation_mode="nli_sp",
        verbose=False,
    )
    scores = scorer.score(contexts=request["references"], claims=request["answers"])
    return {"align_score": [float(one) for one in scores]}


SCORERS = {"RadEval": radeval, "bleurt-pytorch": bleurt, "alignscore": align_score}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """The versions, and for a request with texts each score of each text."""
    package = request["package"]
    version = importlib.metadata.version(package)
    versions = {package: version, "python": sys.version.split()[0]}
    if "references" not in request:
        return {"versions": versions}
    return {"versions": versions, "scores": SCORERS[package](request)}


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
        reply = {"error": request["package"] + " is not installed there"}
    except Refused as error:
        reply = {"error": str(error)}
    except NetworkRefused:
        reply = {"error": "it wanted the network, which is closed (name its weights' hub id)"}
    except Exception as error:  # noqa: BLE001 - a message may hold a patient's text, a type none
        reply = {"error": request["package"] + " failed: " + type(error).__name__}
    replies.write(json.dumps({"vesalius": 1, **reply}) + "\n")
    replies.flush()


if __name__ == "__main__":
    main()
