"""The families table: what differs between transformers' vision-language models."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import yaml
from pydantic import Field

from vesalius.errors import ModelError, UnknownName
from vesalius.models.box_codec import BoxConvention
from vesalius.recipe import Frozen


class Family(Frozen):
    """A row of ``families.yaml``."""

    name: str
    title: str
    model_types: tuple[str, ...]
    text_types: tuple[str, ...] = ()
    """Where families share a model type, the types of their language models."""
    image: str
    """The placeholder of a picture in the chat template; one token of the tokenizer."""
    soft: str | None = None
    """The token that becomes image features, where it is not the placeholder."""
    repeats: str | None = None
    """The processor's attribute that says how many image tokens a picture has, where the processor
    itself puts them in front of all text instead of in the placeholder's place."""
    chat_template: str | None = None
    """The template of a family whose models ship none."""
    parts: dict[str, tuple[str, ...]]
    """Part name (vision, projector, language ...) -> the module paths that make it up."""
    targets: dict[str, str] = Field(default_factory=dict)
    """Part name -> what adapters land on there: a regular expression behind the part's paths."""
    keeps: Literal["list", "tensor"] | None = None
    """How the projector's output is handed on, where a frozen tower's features can be kept."""
    boxes: BoxConvention = BoxConvention()
    """How the family was trained to write boxes; by default as shares of width and height."""
    layout: str
    """How its rows become tensors: a name of ``layouts``."""


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


def family_of(config: Any) -> Family:
    """The family of a transformers config; ModelError if no row has its model type."""
    kind, text = config.model_type, getattr(config.get_text_config(), "model_type", "")
    for row in families().values():
        if kind in row.model_types and (not row.text_types or text in row.text_types):
            return row
    known = ", ".join(sorted({t for row in families().values() for t in row.model_types}))
    raise ModelError(f"no family for model type {kind!r}", hint=f"known types: {known}")
