"""A judge's replies, read strictly: one JSON object of known keys, its values in range, or nothing.

What cannot be read so is *not measured*, with the reason. Only a code fence around the whole reply
is taken off: it is markup, and says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vesalius.cases.rating import SCALES, SEVERITY
from vesalius.evaluation.judging.rubric import Axis, Rubric

ERRORS, ERROR, BETTER = "errors", "error", "better"
"""Keys of a reply beside the rubric's axes."""
Better = Literal["first", "second", "tie"]
"""What a judge may say of two answers."""
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)


class NotMeasured(ValueError):
    """A reply that is no grade; ``reason`` is one of few, so that they can be counted."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Grading:
    """What a reply says: a grade an axis, errors, and the sum of their weights by level."""

    axes: dict[str, int]
    errors: tuple[str, ...] = ()
    weight: float | None = None


def read_grading(text: str, rubric: Rubric) -> Grading:
    """The grades in a reply; NotMeasured says why there are none."""
    wanted = [*rubric.axes, *([ERRORS] if rubric.errors else [])]
    row = _object(text, wanted)
    axes = {name: _grade(row[name], name, axis) for name, axis in rubric.axes.items()}
    if not rubric.errors:
        return Grading(axes)
    if not isinstance(row[ERRORS], list):
        raise NotMeasured("a value out of range")
    if not rubric.levels:
        return Grading(axes, _distinct([_one_of(one, rubric.errors) for one in row[ERRORS]]))
    pairs = [_graded_error(one, rubric) for one in row[ERRORS]]
    order = list(rubric.levels)
    worst = max((order.index(level) + 1 for _, level in pairs), default=0)
    weight = sum(rubric.levels[level] for _, level in pairs)
    return Grading(axes | {SEVERITY: worst}, _distinct([tag for tag, _ in pairs]), weight)


def read_preference(text: str) -> Better:
    """Which of two answers a reply prefers; NotMeasured says why there is no telling."""
    answer = _object(text, [BETTER])[BETTER]
    for better in get_args(Better):
        if answer == better:
            return better  # type: ignore[no-any-return]
    raise NotMeasured("a value out of range")


def _object(text: str, wanted: Sequence[str]) -> dict[str, Any]:
    """The one object that a reply is, with exactly the wanted keys."""
    fenced = _FENCE.fullmatch(text.strip())
    body = (fenced[1] if fenced else text).strip()
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
    try:
        row, end = decoder.raw_decode(body)
    except NotMeasured:
        raise
    except (ValueError, RecursionError) as error:
        raise NotMeasured("no JSON") from error
    if rest := body[end:].strip():
        raise NotMeasured("several objects" if rest.startswith(("{", ",")) else "words beside it")
    if not isinstance(row, dict):
        raise NotMeasured("no object")
    if set(row) - set(wanted):
        raise NotMeasured("an unknown key")
    if set(wanted) - set(row):
        raise NotMeasured("a missing key")
    return row


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise NotMeasured("a key twice")
    return row


def _constant(_: str) -> Any:
    raise NotMeasured("a value out of range")  # NaN and Infinity are no JSON, and no grades


def _grade(value: Any, name: str, axis: Axis) -> int:
    if axis.grades:
        return axis.grades[_one_of(value, axis.grades)]
    if not isinstance(value, int) or isinstance(value, bool) or value not in SCALES[name]:
        raise NotMeasured("a value out of range")
    return value


def _graded_error(value: Any, rubric: Rubric) -> tuple[str, str]:
    if not isinstance(value, dict) or set(value) != {ERROR, SEVERITY}:
        raise NotMeasured("a value out of range")
    return _one_of(value[ERROR], rubric.errors), _one_of(value[SEVERITY], rubric.levels)


def _one_of(value: Any, known: dict[str, Any]) -> str:
    if not isinstance(value, str) or value not in known:
        raise NotMeasured("a value out of range")
    return value


def _distinct(tags: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(tags))
