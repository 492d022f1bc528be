"""The words of Croissant 1.1 and of its RAI extension, as data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from vesalius.system.tables import packaged_table


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, Any]:
    """``conforms_to``, ``rai`` (property names), ``formats`` (by kind and ending), ``context``."""
    content: dict[str, Any] = packaged_table(__package__, "vocabulary.yaml")
    return content
