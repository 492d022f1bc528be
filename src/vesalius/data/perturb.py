"""Changes to a case that a model which looks must notice: Case -> Case, nothing else touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO

from PIL import Image

from vesalius.cases.case import Case
from vesalius.cases.picture import Picture
from vesalius.errors import UnknownName

GREY = (127, 127, 127)


def perturb(case: Case, name: str) -> Case:
    """The case under a named change: ``blank`` makes every picture uniform grey, size kept."""
    if name not in _CHANGES:
        raise UnknownName("perturbation", name, _CHANGES)
    return _CHANGES[name](case)


def _blank(case: Case) -> Case:
    pictures = tuple(Picture(f"{p.key}#blank", partial(_grey, p)) for p in case.pictures)
    return replace(case, pictures=pictures)


def _grey(picture: Picture) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", picture.pixels().size, GREY).save(buffer, "PNG")
    return buffer.getvalue()


_CHANGES: dict[str, Callable[[Case], Case]] = {"blank": _blank}
