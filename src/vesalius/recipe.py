"""A recipe: YAML and ``--set`` overrides, validated, frozen, and saved with every run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vesalius.errors import RecipeError, UnknownName

Settings = TypeVar("Settings", bound=BaseModel)


class Frozen(BaseModel):
    """Settings where untrusted text enters: unknown keys are refused, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Splits(Frozen):
    """Which split plays which part. The test split is never used to choose anything."""

    train: str = "train"
    validation: str | None = "validation"
    test: str = "test"


class Data(Frozen):
    """What is read, and what of it becomes a dialogue."""

    dataset: str
    """The data set's name in the registry (``vesalius data list``)."""
    root: str | None = None
    """Its folder, from here or under ``$VESALIUS_DATA``; default ``$VESALIUS_DATA/<dataset>``."""
    hub: bool | str = False
    """Read it from the Hugging Face hub: true for the card's id, or another id."""
    options: dict[str, Any] = Field(default_factory=dict)
    """The reader's own options (``vesalius data list <dataset>`` shows them)."""
    task: Literal["vqa", "caption", "dialogue", "detect"] = "vqa"
    """``vqa``: a dialogue a question; ``caption``: the caption; ``dialogue``: all turns."""
    instruction: str = "Describe this image."
    """What is asked for a caption."""
    context: tuple[str, ...] = ()
    """Context fields shown in the prompt, e.g. ``[indication, history]``."""
    categories: tuple[str, ...] | None = None
    """Keep only questions of these categories."""
    splits: Splits = Splits()
    leaks: Literal["refuse", "drop", "allow"] = "refuse"
    """Splits that share patients, pictures or near-duplicates: ``refuse`` to fit, ``drop`` such
    cases from training (and from validation where the test split has them), or ``allow`` them.
    The run records what was found and dropped."""
    limit: dict[str, int] = Field(default_factory=dict)
    """At most so many cases per split, e.g. ``{train: 100}``."""


class Decoding(Frozen):
    """How text is generated. The default is greedy, as evaluation needs."""

    max_new_tokens: int = Field(default=64, ge=1, le=4096)
    """An answer is cut after so many tokens, and says so."""
    beams: int = Field(default=1, ge=1, le=16)
    """Beam search over so many beams; 1 is greedy."""
    temperature: float = Field(default=0.0, ge=0.0, le=5.0)
    """0 is greedy; above it, seeded sampling."""
    min_p: float | None = Field(default=None, gt=0.0, lt=1.0)
    """When sampling: leave out tokens below this share of the likeliest one's probability."""
    batch: int = Field(default=16, ge=1, le=1024)
    """How many dialogues are answered together; the answers do not depend on it."""
    seed: int = 0
    """Of the sampling."""


class Evaluation(Frozen):
    """Which scores are computed, and how their intervals are."""

    metrics: tuple[str | dict[str, dict[str, Any]], ...] = ("squad", "closed")
    """Names from ``vesalius.evaluation.metrics``, or one-key mappings of name to parameters."""
    resamples: int = Field(default=10_000, ge=0)
    level: float = Field(default=0.95, gt=0.5, lt=1.0)
    validate_on: int = Field(default=0, ge=0)
    """So many validation dialogues are answered after each epoch of training; 0: none."""
    seed: int = 0


class Recipe(Frozen):
    """One system: data, model, decoding, evaluation, seed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's name by default: letters, digits, ``.``, ``_`` and ``-``."""
    description: str = ""
    """One sentence for reports and cards."""
    data: Data
    model: dict[str, Any]
    """The registry entry's name and its settings; ``model:`` blocks nest."""
    decoding: Decoding = Decoding()
    evaluation: Evaluation = Evaluation()
    seed: int = 0
    """Decides initial weights, data order and dropout: the same seed gives the same run."""

    def digest(self) -> str:
        """A hash of what the recipe says (names and descriptions aside)."""
        said = self.model_dump(mode="json", exclude={"name", "description"})
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The resolved recipe as YAML, every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe at ``path`` with ``a.b=value`` overrides; RecipeError names the key."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError("cannot be read", where=path, hint="ls recipes/ shows ours") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        line = "" if mark is None else f" at line {mark.line + 1}"
        raise RecipeError(f"not valid YAML{line}", where=path) from error
    if not isinstance(content, dict):
        raise RecipeError("a recipe is a mapping of keys to values", where=path)
    for override in overrides:
        _set(content, override)
    return validated(Recipe, content, where=path)


def validated(settings: type[Settings], content: Mapping[str, Any], *, where: object) -> Settings:
    """``settings`` from ``content``; the first fault becomes one RecipeError that names its key."""
    try:
        return settings.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _keys_beside(settings, first["loc"])
            raise RecipeError(UnknownName("key", key, known).args[0], where=where) from error
        raise RecipeError(f"{key}: {first['msg']}", where=where) from error


def _keys_beside(settings: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The full names of the keys that could stand where an unknown one does."""
    prefix, at = "", settings
    for part in location[:-1]:
        field = at.model_fields.get(str(part))
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        prefix, at = f"{prefix}{part}.", inner
    return [prefix + name for name in at.model_fields]


def _set(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"not of the form key=value: {override!r}", where="--set")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise RecipeError(f"{parent!r} in {key!r} is a value, not a block", where="--set")
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"the value of {key} is not valid YAML", where="--set") from error
