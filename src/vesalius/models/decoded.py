"""What was read of a text, and what could not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vesalius.cases.case import Answer


@dataclass(frozen=True, slots=True)
class Decoded:
    """An answer read of a text, which stays in it.

    ``unread``: what in the text could not be read, counted by why; a prediction's ``notes``.
    """

    answer: Answer
    unread: Mapping[str, int] = field(default_factory=dict)
