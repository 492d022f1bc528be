"""What may stand in a row where a picture is: a path, or the picture itself, in several forms."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from vesalius.cases.case import Source
from vesalius.data.reading.rows import Cell
from vesalius.errors import DatasetError

_DATA_URL = re.compile(r"data:(?P<kind>[^,]*),(?P<content>.*)", re.DOTALL | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+=*")
_BEGINNINGS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "SUkq", "TU0A", "AAAAAAAA")
"""Of PNG, JPEG, GIF, WebP, TIFF and DICOM in base64."""
_PNG = _BEGINNINGS[0]
_LONGEST_NAME = 255
"""Bytes of a file's name on the usual file systems."""


def name_or_cell(value: Any, where: Source) -> str | Cell | None:
    """The name of a picture, the stored picture, or None for an empty cell.

    Stored are bytes, the hub's ``{bytes, path}`` (where the bytes are null, the path is the name),
    base64 and data URLs (RFC 2397). DatasetError names the row, and never repeats the value.
    """
    if isinstance(value, dict) and value.keys() & {"bytes", "path"}:
        held = value.get("bytes")
        value = value.get("path") if held is None else held
    if value is None or isinstance(value, Cell):
        return value
    if isinstance(value, bytes):
        return Cell.of(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise DatasetError("an image is neither a path nor stored bytes", where=where)
    return _of_text(value.strip(), where) or None


def _of_text(text: str, where: Source) -> str | Cell:
    url = _DATA_URL.match(text)
    if url and not url["kind"].lower().endswith("base64"):
        return Cell.of(unquote_to_bytes(url["content"]))
    content = "".join((url["content"] if url else text).split()).replace("%2B", "+")
    stored = len(content) > _LONGEST_NAME or content.startswith(_PNG)
    if not url and not (stored and _BASE64.fullmatch(content)):
        if stored and content.startswith(_BEGINNINGS):  # no name, so never to be told as one
            raise DatasetError("the picture in the cell is not valid base64", where=where)
        return text
    try:
        plain = content.rstrip("=").translate(str.maketrans("-_", "+/"))
        return Cell.of(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except ValueError as error:
        raise DatasetError("the picture in the cell is not valid base64", where=where) from error
