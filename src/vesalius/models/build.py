"""From a recipe's ``model:`` block to a learner; nested blocks are built first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vesalius.errors import RecipeError
from vesalius.models import Learner, models
from vesalius.recipe import validated


def build(block: Mapping[str, Any], *, where: object = "model") -> Learner:
    """The learner a block names, with its settings validated and the models it wraps built.

    A nested block is a mapping under a key that is ``model`` or ends with ``_model``; an entry
    names the ones it takes in ``wraps``.
    UnknownName or RecipeError say what is wrong, and in which block.
    """
    settings = dict(block)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError("needs a name", where=where, hint=f"known: {', '.join(models)}")
    entry = models[name]
    nested = [key for key in settings if key == "model" or key.endswith("_model")]
    inner = {key: build(settings.pop(key), where=f"{where}.{key}") for key in nested}
    unwanted = set(inner) - set(getattr(entry, "wraps", ()))
    if unwanted:
        raise RecipeError(f"{name} wraps no {', '.join(sorted(unwanted))}", where=where)
    learner: Learner = entry(validated(entry.Settings, settings, where=f"{where} {name}"), **inner)
    return learner
