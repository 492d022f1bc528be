"""A picture's copy for a new data set: read once, looked at, and written, text covered if asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vesalius.cases.picture import Picture
from vesalius.data.fingerprints import Inspected
from vesalius.data.inspection import inspect
from vesalius.errors import ImageError, VesaliusError
from vesalius.system.files import write_atomic


@dataclass(frozen=True, slots=True)
class Order:
    """A picture to copy into ``path``; ``mask`` covers the text that is burned into it."""

    picture: Picture
    path: Path
    mask: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """What was written, if the picture could be read.

    ``original`` tells of the picture, ``written`` of its copy, which is another one where text was
    covered. ``suffix`` is the ending that the copy's content asks for; None: the picture's own.
    """

    original: Inspected
    written: Inspected
    path: Path
    key: str
    covered: bool = False
    suffix: str | None = None


def copy(order: Order) -> Copy:
    """Copy one picture byte for byte, or written anew where text was covered.

    One that cannot be read is not written; the result says why. Runs in a worker process.
    """
    try:
        data = order.picture.read()
    except ImageError as error:
        return _unwritten(order, Inspected(code=error.code, reason=error.what))
    held = replace(order.picture, read=partial(bytes, data))
    original = inspect(held)
    if original.fingerprint is None:
        return _unwritten(order, original)
    if order.mask and (covered := _covered(data, order.picture.key)) is not None:
        data, suffix = covered
        write_atomic(order.path, data)
        written = inspect(Picture(order.picture.key, partial(bytes, data)))
        return Copy(original, written, order.path, held.key, covered=True, suffix=suffix)
    write_atomic(order.path, data)
    return Copy(original, original, order.path, held.key)


def lost(order: Order, error: VesaliusError) -> Copy:
    """The copy of a picture that ended the process which decoded it."""
    return _unwritten(
        order, Inspected(code="image_corrupt", reason=f"decoding it failed: {error.what}")
    )


def _unwritten(order: Order, fault: Inspected) -> Copy:
    return Copy(fault, fault, order.path, order.picture.key)


def _covered(data: bytes, key: str) -> tuple[bytes, str] | None:
    """The picture with black boxes over its text, and its ending; None if it has none."""
    from vesalius.cases.reencode import reencode
    from vesalius.data.burned_in import inspect as search

    try:
        picture, regions = search(reencode(data), mask=True)
    except ImageError as error:
        raise ImageError(error.code, error.what, where=key, hint=error.hint) from error
    return (picture.data, picture.suffix) if regions else None
