"""Safetensors files as mapped arrays: of a large one only the pages that are touched are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vesalius.errors import RunError

DTYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "U8": np.dtype("u1"),
    "I64": np.dtype("<i8"),
}


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write the file whole or not at all, without a copy of the arrays in memory."""
    beside = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, beside)
    beside.replace(path)


def mapped_tensors(path: Path, what: str) -> dict[str, NDArray[Any]]:
    """The arrays of a file, read-only and mapped; RunError says that it is not ``what``.

    Source of the layout: https://github.com/huggingface/safetensors (8 bytes of length, a JSON
    header, then the data). The library checks the file; it maps none for numpy itself.
    """
    try:
        with safe_open(path, "numpy"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        return {name: _mapped(path, 8 + length, one) for name, one in header.items()}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise RunError(f"not {what}: {error}", where=path) from error


def _mapped(path: Path, start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    shape, dtype = tuple(entry["shape"]), DTYPES[entry["dtype"]]
    if not np.prod(shape):
        empty: NDArray[Any] = np.empty(shape, dtype)
        return empty
    start += int(entry["data_offsets"][0])
    mapped: NDArray[Any] = np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape)
    return mapped
