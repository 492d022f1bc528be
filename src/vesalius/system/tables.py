"""YAML, by libyaml where it is there, and the tables that lie in packages."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml

SafeLoader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's is ten times as quick."""


def parse_yaml(text: str) -> Any:
    """The one document in ``text``; yaml.YAMLError where it is none."""
    return yaml.load(text, Loader=SafeLoader)  # noqa: S506


def packaged_table(package: str, name: str) -> Any:
    """The YAML file ``name`` that lies in a package."""
    return parse_yaml((files(package) / name).read_text(encoding="utf-8"))
