"""Writing that fails half-way: a full disk becomes one clear error."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vesalius.errors import RunError

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
# torch's and safetensors' writers report a failed write in their own words, without an errno.
TORN = ("inline_container", "PytorchStreamWriter", "iostream error")


@contextmanager
def writing(what: str, where: Path, hint: str | None = None) -> Iterator[None]:
    """A block that writes files; RunError says which ``what`` could not be saved, and why."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise RunError(f"{reason}: {what} could not be saved", where=where, hint=hint) from error


def _reason(error: Exception) -> str | None:
    """Why a write failed; None if the error tells of something else."""
    if isinstance(error, OSError):
        return FULL.get(error.errno or 0, error.strerror or "a file cannot be written")
    text = str(error)
    for number, reason in FULL.items():
        if f"os error {number}" in text:
            return reason
    if "I/O error" in text or any(sign in text for sign in TORN):
        return "a file cannot be written to its end (is the disk full?)"
    return None
