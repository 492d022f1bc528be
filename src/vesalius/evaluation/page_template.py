"""The templates of pages: escaped, strict about what they name, with one way to write numbers."""

from __future__ import annotations

from math import isnan
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def template(name: str) -> Any:
    """The template of that file name."""
    loader = PackageLoader("vesalius.evaluation", "templates")
    env = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["p"] = lambda p: "n/a" if isnan(p) else ("< 0.001" if p < 0.001 else f"{p:.3f}")
    env.filters["bounds"] = lambda s: "" if isnan(s.low) else f"{s.low:.3f} to {s.high:.3f}"
    env.filters["signed_bounds"] = lambda d: (
        "" if isnan(d.low) else f"{d.low:+.3f} to {d.high:+.3f}"
    )
    return env.get_template(name)
