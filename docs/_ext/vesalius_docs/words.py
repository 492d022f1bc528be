"""Python's words as Markdown: tables, types, defaults and docstrings."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

_ROLE = re.compile(r":(?:py:)?[a-z]+:`~?([^`]+)`")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table: cells on one line, pipes escaped, columns that say nothing left out."""
    body = [list(map(_cell, row)) for row in rows]
    columns = [i for i in range(len(header)) if i == 0 or any(row[i] for row in body)]
    lines = [list(header), ["---"] * len(header), *body]
    return "\n".join("| " + " | ".join(line[i] for i in columns) + " |" for line in lines) + "\n"


def prose(text: str | None) -> str:
    """A docstring as Markdown: literals and roles become code, indentation goes."""
    plain = _ROLE.sub(r"`\1`", inspect.cleandoc(text or ""))
    return plain.replace("``", "`")


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(prose(text).split("\n\n")[0].split())


NAMES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    type(None): "null",
    Path: "path",
    Any: "any",
    dict: "mapping",
    list: "list",
}


def kind(annotation: Any) -> str:
    """A type as people say it: ``text or null``, ``list of integer``, ``mapping``, ``block``."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(part) for part in parts)
    if origin in (tuple, list):
        return f"list of {kind(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    known = origin or annotation
    return NAMES.get(known) or getattr(known, "__name__", str(known))


def code(value: Any) -> str:
    """A value as inline code."""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")
