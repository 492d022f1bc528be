"""Settings: frozen blocks, validated, from YAML files with ``--set key=value`` over them."""

from __future__ import annotations

import copy
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from vesalius.errors import RecipeError, UnknownName
from vesalius.system.tables import SafeLoader, parse_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Settings = TypeVar("Settings", bound=BaseModel)
NAME = re.compile(r"[a-z0-9][a-z0-9_.]{0,31}")
"""A value that names one of ours: a family, a role, a metric, a dtype."""
ABSENT = object()


class Frozen(BaseModel):
    """Settings where untrusted text enters: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def validated(settings: type[Settings], content: Mapping[str, Any], *, where: object) -> Settings:
    """``settings`` from ``content``; the first fault becomes one RecipeError that names its key."""
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        # A key that nobody knows goes first: what is missing may be what it was meant to be.
        first = min(error.errors(), key=lambda fault: fault["type"] != "extra_forbidden")
        key = ".".join(str(part) for part in first["loc"] if part != "[key]")
        if first["type"] == "extra_forbidden":
            known = _keys_beside(settings, first["loc"])
            raise RecipeError(UnknownName("key", key, known).args[0], where=where) from error
        said = first["msg"].removeprefix("Value error, ")
        fault, hint = f"{key}: {said}" if key else said, _meant(first)
        raise RecipeError(fault, where=where, hint=hint) from error


def _meant(fault: ErrorDetails) -> str | None:
    """Which of the names that may stand there comes closest to one that may not."""
    names = re.findall(r"'([^']+)'", str(fault.get("ctx", {}).get("expected", "")))
    close = get_close_matches(str(fault["input"]), names, n=1)
    return f"did you mean {close[0]}?" if close else None


def _keys_beside(settings: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The full names of the keys that could stand where an unknown one does."""
    at: Any = settings
    for part in location[:-1]:
        block = block_of(at)
        if block is None:  # a mapping's values, a sequence's items
            at = next((inner for inner in reversed(get_args(at)) if inner is not ...), None)
        else:
            field = block.model_fields.get(str(part))
            at = None if field is None else field.annotation
    block, prefix = block_of(at), "".join(f"{part}." for part in location[:-1])
    return [] if block is None else [prefix + name for name in block.model_fields]


def block_of(annotation: Any) -> type[BaseModel] | None:
    """The settings class that a field's type is, or may be (``Retrieve | None``)."""
    inside = get_args(annotation) if isinstance(annotation, UnionType) else ()
    for kind in (annotation, *inside):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def read_yaml(path: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The mapping in a YAML file with ``a.b=value`` overrides; RecipeError names line or key."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506
    except OSError as error:
        fault, hint = f"cannot be read: {error.strerror}", "ls recipes/ shows ours"
        raise RecipeError(fault, where=path, hint=hint) from error
    except yaml.constructor.ConstructorError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise RecipeError(f"line {line}: {error.problem}", where=path) from error
    except UnicodeDecodeError as error:
        raise RecipeError("not UTF-8 text", where=path, hint="save it as UTF-8") from error
    except yaml.YAMLError as error:
        mark, problem = (getattr(error, name, None) for name in ("problem_mark", "problem"))
        line = "" if mark is None else f" at line {mark.line + 1}"
        if mark is not None and text[mark.index : mark.index + 1] == "\t":
            problem = "indent with blanks, not with tabs"
        raise RecipeError(f"not valid YAML{line}", where=path, hint=problem) from error
    if not isinstance(content, dict):
        raise RecipeError("a recipe is a mapping of keys to values", where=path)
    for override in overrides:
        _set(content, override)
    return content


class _UniqueKeys(SafeLoader):  # type: ignore[misc, valid-type]
    """YAML in which a key may stand once: of two members of one name, the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for at, (key, _) in enumerate(node.value):
            if isinstance(key, yaml.ScalarNode) and key.value != "<<" and key.value in keys[:at]:
                problem = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        pairs: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return pairs


def pair(text: str, where: str) -> tuple[str, Any]:
    """``key=value`` in two, the value read as YAML; RecipeError names ``where`` it was said."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"not of the form key=value: {text!r}", where=where)
    try:
        return key.strip(), parse_yaml(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"the value of {key} is not valid YAML", where=where) from error


def overridden(content: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """The content with ``a.b=value`` overrides, values read as YAML; RecipeError names the key."""
    whole = copy.deepcopy(content)
    for override in overrides:
        _set(whole, override)
    return whole


def _set(content: dict[str, Any], override: str) -> None:
    key, value = pair(override, "--set")
    *parents, last = key.split(".")
    block: Any = content
    for parent in parents:
        block = _block(block, parent)
        if not isinstance(block, dict | list):
            raise RecipeError(f"{parent!r} in {key!r} is a value, not a block", where="--set")
    if isinstance(block, list):
        raise RecipeError(f"{key!r} is a block of a list, not a value", where="--set")
    block[last] = value


def _block(content: dict[str, Any] | list[Any], name: str) -> Any:
    """What is under a key, made if it is not there; of a list (``stages``) the block so named."""
    if isinstance(content, dict):
        return content.setdefault(name, {})
    named = {str(item.get("name")): item for item in content if isinstance(item, dict)}
    if name not in named:
        raise RecipeError(UnknownName("block", name, named).args[0], where="--set")
    return named[name]


def merged(own: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """``own`` with what ``block`` says instead, blocks within blocks likewise."""
    made = dict(own)
    for key, value in block.items():
        both = isinstance(value, dict) and isinstance(own.get(key), dict)
        made[key] = merged(own[key], value) if both else value
    return made


def differences(old: Mapping[str, Any], new: Mapping[str, Any], at: str = "") -> Iterator[str]:
    """``key old -> new`` for each key of two blocks whose values differ, blocks within by key.

    Numbers, switches and names are quoted; what else a value says (a path, a sentence, a list) is
    not: it may tell of a person.
    """
    for key in dict.fromkeys([*old, *new]):
        one, other = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{at}{key}.")
        elif one != other:
            values = _quotable(f"{at}{key}", one), _quotable(f"{at}{key}", other)
            yield f"{at}{key}" + ("" if None in values else " {} -> {}".format(*values))


def _quotable(key: str, value: Any) -> str | None:
    """A value as YAML writes it, or None for what may be people's words."""
    if value is ABSENT:
        return "(not there)"
    if value is None or isinstance(value, bool | int | float):
        return "null" if value is None else str(value).lower()
    named = not key.startswith("data.") and isinstance(value, str) and NAME.fullmatch(value)
    return str(value) if named else None
