"""Lists of boxes as text: JSON, location tokens, or references, written and taken apart.

Taking apart is strict: a part that is no box in the form is a fault, whatever it may have meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from vesalius.errors import ModelError
from vesalius.models.box_convention import CLASS, COORDINATES, PROSE

NONE = "none"
"""How a list that has no brackets says that it is empty."""
Row = tuple[Any, Any]
"""Corners and label of a box."""
REFERENCE_TOKENS = ("<ref>", "</ref>", "<box>", "</box>")
LOCATION = re.compile(r"<loc(\d{4})>")
_FENCED = re.compile(r"```(?:json)?(.*?)(?:```|\Z)", re.DOTALL)
_LOCATED = re.compile(r"\s*(?:<loc\d{4}>\s*){4}(?P<label>[^<\s][^<]*?)\s*")
_REFERENCE = re.compile(r"<ref>(?P<label>[^<]*)</ref>\s*<box>(?P<boxes>[^<]*)</box>")
_PARTED = re.compile(r"[\s,;]*")


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a list of boxes.

    ``write(rows, key)``: the text; ModelError for a label that cannot stand in it.
    ``rows(text, key)``: corners and label of each box, or the name of why a part is none.
    """

    write: Callable[[Sequence[Row], str], str]
    rows: Callable[[str, str], Iterator[Row | str]]


def _write_json(rows: Sequence[Row], key: str) -> str:
    return json.dumps([{key: four, "label": label} for four, label in rows], ensure_ascii=False)


def _read_json(text: str, key: str) -> Iterator[Row | str]:
    """The rows of a JSON list, alone or in a fence; words around a fence are a fault."""
    fenced = list(_FENCED.finditer(text))
    if len(fenced) == 1:
        (one,) = fenced
        if (text[: one.start()] + text[one.end() :]).strip():
            yield PROSE
        text = one[1]
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        yield PROSE
        return
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        yield PROSE
        return
    for row in rows:
        yield (row.get(key), row.get("label")) if isinstance(row, dict) else COORDINATES


def _write_tokens(rows: Sequence[Row], _: str) -> str:
    return " ; ".join(_located(four, label) for four, label in rows) or NONE


def _located(corners: Sequence[float], label: str) -> str:
    if label in {"", NONE} or _LOCATED.fullmatch(f"{'<loc0000>' * 4}{label}") is None:
        raise ModelError(f"the label {label!r} cannot stand behind location tokens")
    if ";" in label:
        raise ModelError(f"the label {label!r} cannot stand in a list parted by ;")
    return "".join(f"<loc{int(end):04}>" for end in corners) + f" {label}"


def _read_tokens(text: str, _: str) -> Iterator[Row | str]:
    for part in text.split(";"):
        ends = [int(end) for end in LOCATION.findall(part)]
        located = _LOCATED.fullmatch(part)
        if located is not None:
            yield ends, located["label"]
        elif not ends:
            yield PROSE
        else:
            yield CLASS if len(ends) == 4 else COORDINATES


def _write_references(rows: Sequence[Row], _: str) -> str:
    parts = []
    for label, some in groupby(rows, key=lambda row: row[1]):
        if not label.strip() or "<" in label:
            raise ModelError(f"the label {label!r} cannot stand between <ref> and </ref>")
        parts.append(f"<ref>{label}</ref><box>{json.dumps([four for four, _ in some])}</box>")
    return "\n".join(parts) or NONE


def _read_references(text: str, _: str) -> Iterator[Row | str]:
    """Each reference's boxes, and a fault for each stretch of other words."""
    start = 0
    for one in _REFERENCE.finditer(text):
        yield from _other(text[start : one.start()])
        start = one.end()
        try:
            boxes = json.loads(one["boxes"])
        except (ValueError, RecursionError):
            boxes = None
        if isinstance(boxes, list) and boxes:
            yield from ((four, one["label"]) for four in boxes)
        else:
            yield COORDINATES
    yield from _other(text[start:])


def _other(text: str) -> Iterator[str]:
    if _PARTED.fullmatch(text) is None:
        yield COORDINATES if any(token in text for token in REFERENCE_TOKENS) else PROSE


FORMS: Mapping[str, Form] = {
    "json": Form(_write_json, _read_json),
    "refs": Form(_write_references, _read_references),
    "tokens": Form(_write_tokens, _read_tokens),
}
"""By ``style`` of a convention."""
