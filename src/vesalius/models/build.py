"""From a recipe's ``model:`` block to a learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vesalius.errors import RecipeError
from vesalius.models import Learner, Wraps, models
from vesalius.models.weight_files import require_block_weights
from vesalius.settings import validated


def build(block: Mapping[str, Any], *, where: object = "model") -> Learner:
    """The learner a block names, with its settings validated; its members are runs of their own.

    UnknownName or RecipeError say what is wrong, and in which block; ModelError names a pickle.
    """
    settings = dict(block)
    name = settings.pop("name", None)
    if not isinstance(name, str):
        raise RecipeError("needs a name", where=where, hint=f"known: {', '.join(models)}")
    require_block_weights(block)  # before the entry's module loads what would read them
    entry = models[name]
    members = settings.pop("members", None) or {}
    _require_members(name, getattr(entry, "wraps", None), list(members), where)
    learner: Learner = entry(validated(entry.Settings, settings, where=f"{where} {name}"))
    return learner


def _require_members(name: str, wraps: Wraps | None, keys: list[str], where: object) -> None:
    """RecipeError unless the members are those that the entry wants."""
    if wraps is None:
        if keys:
            raise RecipeError(f"{name} wraps no members", where=where)
        return
    missing, known = set(wraps.names) - set(keys), {*wraps.names, *wraps.optional}
    if wraps.names and (unwanted := sorted(missing | (set(keys) - known))):
        optional = f" and, if there is one, {', '.join(wraps.optional)}" if wraps.optional else ""
        wanted = ", ".join(wraps.names) + optional
        raise RecipeError(f"{name} wraps {wanted}; wrong: {', '.join(unwanted)}", where=where)
    most = wraps.most or len(keys)
    if not wraps.least <= len(keys) <= max(most, wraps.least):
        count = (
            f"at least {wraps.least}" if wraps.most is None else f"{wraps.least} to {wraps.most}"
        )
        hint = "members: {near: {name: nearest}, ...}"
        raise RecipeError(f"{name} needs {count} members, not {len(keys)}", where=where, hint=hint)
