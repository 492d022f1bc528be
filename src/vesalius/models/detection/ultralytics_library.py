"""ultralytics (AGPL-3.0): the one module that imports it, and never lets it onto the network.

What it does when it is imported is undone or kept off: a look-up of two hosts, a settings file with
a number for this machine in the user's folder, environment variables, torch's ``save``, print
options and OpenCV's threads. Of its code only networks, their loss and their files are used: no
trainer, so no data set, font, update, logger or platform is ever fetched or told anything.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import _tensor_str

from vesalius.errors import MissingExtra, ModelError
from vesalius.system.cache import cache_folder
from vesalius.system.tables import parse_yaml
from vesalius.system.usage_reports import SWITCHES

PACKAGE, LICENCE = "ultralytics-opencv-headless", "AGPL-3.0"
ENVIRONMENT = {
    **SWITCHES["ultralytics"],
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}
"""How it is told to stay off the network, to install nothing, and to run no code of a pickle."""
GAINS = {"box": 7.5, "cls": 0.5, "dfl": 1.5}
"""What its losses are multiplied by, as its trainer has it by default."""
DESCRIBED = {"yolov8": "v8/yolov8.yaml", "yolo11": "11/yolo11.yaml"}
log = logging.getLogger(__name__)


@cache
def library() -> Any:
    """Its module of networks, imported out of reach of the network; MissingExtra without it."""
    with _out_of_reach(cache_folder() / PACKAGE):
        try:
            tasks = import_module("ultralytics.nn.tasks")
        except ImportError as error:
            raise MissingExtra(f"{PACKAGE} ({LICENCE})", "yolo") from error
    # It may have been imported before, by somebody who let it.
    import_module("ultralytics.utils.events").events.enabled = False
    return tasks


def announce() -> None:
    """Tell which licence what follows is under; MissingExtra if the package is not there."""
    library()
    log.warning(
        "%s %s is under %s, and weights trained with it are passed on under the same licence; "
        "detr and nanodet are detectors under Apache-2.0",
        PACKAGE,
        metadata.version(PACKAGE),
        LICENCE,
    )


def described(architecture: str, sizes: tuple[float, float, int] | None = None) -> dict[str, Any]:
    """The network of a name like ``yolov8n``, as ultralytics describes it.

    ``sizes``: depth and width as shares of the whole, and the most channels, in the place of those
    that the last letter stands for. ModelError for a name of no such network.
    """
    tasks = library()
    family, letter = architecture[:-1], architecture[-1]
    path = Path(tasks.__file__).parents[1] / "cfg" / "models" / DESCRIBED.get(family, "")
    content: dict[str, Any] = parse_yaml(path.read_text("utf-8")) if path.is_file() else {}
    if letter not in content.get("scales", {}):
        known = f"known: {', '.join(DESCRIBED)}, each with n, s, m, l or x"
        raise ModelError(f"there is no network {architecture!r}", hint=known)
    if sizes is not None:
        content["scales"] = {letter: list(sizes)}
    return {**content, "scale": letter}


def build(description: Mapping[str, Any], classes: int) -> Any:
    """A network with random weights from torch's generator, with what its loss looks up."""
    network = library().DetectionModel(dict(description), ch=3, nc=classes, verbose=False)
    # Its own type: one that it does not know would not be read again.
    network.args = import_module("ultralytics.utils").IterableSimpleNamespace(**GAINS)
    return network


def read(path: Path) -> Any:
    """The network in a ``.pt`` file that ultralytics wrote, fp32, on the CPU.

    It is a pickle: only classes of ultralytics and torch that its own list of known ones names are
    made of it, and no other code runs. ModelError for anything else, for what finds no boxes, and
    for a file that is not there, which ultralytics would fetch.
    """
    tasks, serialization = library(), torch.serialization
    if not path.is_file():
        hint = "a .pt file that is here; nothing is fetched"
        raise ModelError("there is no such file", where=path, hint=hint)
    known = serialization.get_safe_globals()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content, _ = tasks.torch_safe_load(str(path), safe_only=True)
    except Exception as error:  # a pickle may raise anything
        what = "holds no weights that ultralytics saved, or code beside them, which is not run"
        raise ModelError(what, where=path) from error
    finally:
        serialization.clear_safe_globals()
        serialization.add_safe_globals(known)
    network: Any = None
    if isinstance(content, dict):
        network = content.get("ema") or content.get("model")
    if type(network) is not tasks.DetectionModel:
        raise ModelError("holds no network of ultralytics that finds boxes", where=path)
    return network.float()


def write(network: Any, path: Path) -> None:
    """The file that ``YOLO(path)`` reads: the whole network, with its licence in it."""
    content = {
        "model": network,
        "train_args": {"task": "detect"},
        "license": f"{LICENCE} (https://ultralytics.com/license)",
        "version": metadata.version(PACKAGE),
    }
    torch.save(content, path)


@contextmanager
def _out_of_reach(folder: Path) -> Iterator[None]:
    """An import with our variables, after which everything that it patched is as it was.

    Its settings lie in ``folder``, in the place of one with a number for this machine in the
    user's home.
    """
    environment, save = dict(os.environ), torch.save
    numbers, tensors = np.get_printoptions(), vars(_tensor_str.PRINT_OPTS).copy()
    os.environ.update(ENVIRONMENT, YOLO_CONFIG_DIR=str(folder))
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)
        torch.save = save
        np.set_printoptions(**numbers)
        vars(_tensor_str.PRINT_OPTS).update(tensors)
