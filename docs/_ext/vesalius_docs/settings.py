"""Recipes and model settings, from the pydantic fields and the words that stand below them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vesalius.settings import block_of
from vesalius_docs.words import code, first_paragraph, kind, prose, table

RECIPE = """# Recipe keys

A recipe is YAML; `--set a.b=value` overrides a key, its value read as YAML. A key that does not
exist is refused with the nearest one named. See [recipes](../guide/recipes.md) for how to write
one and [model settings](models.md) for what goes into `model`.
"""
MODELS = """# Model settings

What the `model` block of a [recipe](recipe.md) takes, by registry entry. What each is for, and
where it ends, is on the [model cards](../model-cards.md).
"""


def recipe_page() -> str:
    """Every key of a recipe, block by block."""
    from vesalius.recipe import Recipe

    return "\n".join([RECIPE, *_blocks(Recipe, "", "Top level")])


def models_page() -> str:
    """Every registry entry's settings, then presets and families."""
    from vesalius.models import models

    parts = [MODELS]
    for name in models:
        entry = models[name]
        parts += [f"(model-{name})=", f"## {name}\n", prose(entry.__doc__) + "\n"]
        parts += [_looks(entry), *_blocks(entry.Settings, "", "", depth=3)]
    return "\n".join([*parts, _presets(), _families()])


def fields_of(settings: type[BaseModel]) -> str:
    """A table of a settings class's fields."""
    rows = [
        (code(name), kind(field.annotation), _default(field), meaning(field))
        for name, field in settings.model_fields.items()
    ]
    return table(("key", "takes", "default", "meaning"), rows)


def _blocks(settings: type[BaseModel], path: str, title: str, depth: int = 2) -> Iterator[str]:
    heading = title or (f"`{path}`" if path else "")
    if heading:
        yield f"{'#' * depth} {heading}\n"
    if path:
        yield prose(settings.__doc__) + "\n"
    yield fields_of(settings) if settings.model_fields else "Nothing to set.\n"
    for name, field in settings.model_fields.items():
        inner = block_of(field.annotation)
        if inner is not None:
            yield from _blocks(inner, f"{path}.{name}".lstrip("."), "", depth)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see below"
    if isinstance(value, tuple):
        value = list(value)
    return code(
        yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n...")[0].strip()
    )


def meaning(field: FieldInfo) -> str:
    """What a field's docstring says, with its bounds."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    limits = [
        f"{sign} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, sign in signs.items()
        if getattr(limit, name, None) is not None
    ]
    inner = block_of(field.annotation)
    text = prose(field.description) or (first_paragraph(inner.__doc__) if inner else "")
    return f"{text} ({', '.join(limits)})".strip() if limits else text


def _looks(entry: Any) -> str:
    needs = "Needs a picture." if entry.needs_image else "Never looks at the picture."
    return f"{needs}\n"


def _presets() -> str:
    from vesalius.models.composed import presets

    text = ["(presets)=", "## Presets of the composed model\n"]
    for name, values in presets().items():
        text += [f"### {name}\n", f"```yaml\n{yaml.safe_dump(values, sort_keys=False)}```\n"]
    return "\n".join(text)


def _families() -> str:
    from vesalius.models.generative.rows.layouts import layouts
    from vesalius.models.generative.text.families import families

    shared = {name: layouts[f.layout].shared for name, f in families().items()}
    rows = [
        (
            code(f.name),
            f.title,
            ", ".join(map(code, f.model_types)),
            ", ".join(map(code, f.parts)),
            "prefix" if shared[f.name] else "image features",
        )
        for f in families().values()
    ]
    header = ("family", "models", "`model_type`", "parts (for `roles`)", "questions share")
    return "## Families of generative models\n\n" + table(header, rows)
