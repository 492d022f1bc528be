"""The families table: what differs between transformers' vision-language models."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vesalius.errors import ModelError, RecipeError, UnknownName
from vesalius.models.box_convention import BoxConvention
from vesalius.registry import Registry
from vesalius.settings import Frozen, validated
from vesalius.system.tables import packaged_table

LayoutName = Literal[
    "causal",
    "crossed",
    "encoder_decoder",
    "gemma3",
    "gemma4",
    "prefix_lm",
    "queried",
    "rotary_3d",
    "seq2seq",
]


BudgetRule = Literal["fixed", "longest_edge", "pinpoints", "pixels", "soft_tokens", "tiles"]


class Budget(Frozen):
    """How many tokens a family makes of a picture, and what bounds them."""

    rule: BudgetRule = "fixed"
    """``fixed``: one number for all pictures; else which setting of the processor decides
    (``rows/budget.py``)."""
    steps: tuple[int, ...] = ()
    """The only numbers that there may be, ascending."""
    reason: str | None = None
    """Why none can be set."""

    @property
    def adjustable(self) -> bool:
        """Whether the processor has a setting for it."""
        return self.rule != "fixed" and self.reason is None


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
    renderer: Literal["processor", "tokenizer"] = "processor"
    """What carries the chat template once saved: ``tokenizer`` where transformers' processor class
    takes none."""
    parts: dict[str, tuple[str, ...]]
    """Part name (vision, projector, language ...) -> the module paths that make it up."""
    targets: dict[str, str] = Field(default_factory=dict)
    """Part name -> what adapters land on there: a regular expression behind the part's paths."""
    keeps: Literal["list", "tensor"] | None = None
    """How the projector's output is handed on, where a frozen tower's features can be kept."""
    budget: Budget = Budget()
    """What bounds the tokens of a picture: ``model.image_tokens.max`` sets it."""
    boxes: BoxConvention = BoxConvention()
    """How the family was trained to write boxes; by default as shares of width and height."""
    layout: LayoutName
    """How its rows become tensors: a name of ``layouts``."""
    tiny: dict[str, Any] | None = None
    """Of another package's family: what a row of ``tiny.yaml`` says of ours, for toy models."""


@cache
def families() -> dict[str, Family]:
    """All families by name: the rows of ``families.yaml``, and those of other packages.

    An entry of the group ``vesalius.families`` is a mapping of the keys of a row. RecipeError says
    what is wrong with one.
    """
    table = packaged_table(__package__, "families.yaml")
    outside = Registry("family", {}, group="vesalius.families")
    entered = {name: _entered(name, outside[name]) for name in outside if name not in table}
    return {name: Family(name=name, **row) for name, row in table.items()} | entered


def _entered(name: str, row: Any) -> Family:
    where = f"the family {name} of another package"
    if not isinstance(row, Mapping):
        raise RecipeError("is no mapping of the keys of a row", where=where)
    return validated(Family, {**row, "name": name}, where=where)


def _of_family(value: Any) -> Any:
    return family(value).boxes if isinstance(value, str) else value


NamedConvention = Annotated[BoxConvention, BeforeValidator(_of_family)]
"""How boxes are written, in a recipe: a block, or the name of a family that writes so."""


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
