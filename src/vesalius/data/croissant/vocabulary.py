"""The words of Croissant 1.1 and of its RAI extension, as data."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, Any]:
    """``conforms_to``, ``rai`` (property names), ``formats`` (by kind and ending), ``context``."""
    text = (files("vesalius.data.croissant") / "vocabulary.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.safe_load(text)
    return content
