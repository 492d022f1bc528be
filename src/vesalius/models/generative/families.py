"""The families table: what differs between transformers' vision-language models."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from vesalius.errors import ModelError, UnknownName
from vesalius.recipe import Frozen


class Family(Frozen):
    """A row of ``families.yaml``."""

    name: str
    title: str
    model_types: tuple[str, ...]
    image: str
    """The placeholder of a picture in the chat template; one token of the tokenizer."""
    parts: dict[str, tuple[str, ...]]
    """Part name (vision, projector, language ...) -> the module paths that make it up."""
    targets: dict[str, str] = Field(default_factory=dict)
    """Part name -> what adapters land on there: a regular expression behind the part's paths."""
    layout: str
    """How its rows become tensors: a name of ``layouts``."""
    tiny: dict[str, Any]
    """Sizes and chat template of the offline form."""


@cache
def families() -> dict[str, Family]:
    """All families by name."""
    table = yaml.safe_load((files(__package__) / "families.yaml").read_text(encoding="utf-8"))
    return {name: Family(name=name, **row) for name, row in table.items()}


def family(name: str) -> Family:
    """A family by name; UnknownName suggests the nearest."""
    try:
        return families()[name]
    except KeyError:
        raise UnknownName("model family", name, families()) from None


def family_of(model_type: str) -> Family:
    """The family of a transformers ``model_type``; ModelError if no row has it."""
    for row in families().values():
        if model_type in row.model_types:
            return row
    known = ", ".join(sorted(t for row in families().values() for t in row.model_types))
    raise ModelError(f"no family for model type {model_type!r}", hint=f"known types: {known}")
