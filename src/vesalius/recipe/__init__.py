"""A recipe: one system in words, validated, frozen, and saved with every run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field

from vesalius.errors import RecipeError
from vesalius.recipe.blocks import Data as Data
from vesalius.recipe.blocks import Decoding as Decoding
from vesalius.recipe.blocks import Evaluation as Evaluation
from vesalius.recipe.blocks import Mix as Mix
from vesalius.recipe.blocks import MixSplits as MixSplits
from vesalius.recipe.blocks import Reference as Reference
from vesalius.recipe.blocks import Splits as Splits
from vesalius.recipe.blocks import Stage as Stage
from vesalius.recipe.blocks import TaskName as TaskName
from vesalius.recipe.claim import Claim as Claim
from vesalius.retrieval import Retrieve as Retrieve
from vesalius.retrieval import Search as Search
from vesalius.settings import Frozen, differences, merged, read_yaml, validated

MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a member may be called: its run's folder has its name."""
OWN = {"model", "data", "decoding", "evaluation", "seed", "stages", "folds"}
"""What a member's block may say in another way than the recipe that holds it."""
SHARED = {"data", "decoding", "evaluation", "seed", "report_to"}
"""What is the recipe's own in a member's, too, unless its block says it in another way."""
ASIDE = {"name", "description", "claims", "report_to"}
"""What decides nothing of what the recipe makes."""
LATER: tuple[tuple[str, str, Any], ...] = (
    ("data", "mix", []),
    ("data", "seed", 0),
    ("evaluation", "interval", "percentile"),
)
"""Keys that runs do not have which are older than they are: at their default they do not count."""
TrackerName = Literal["mlflow", "tensorboard", "trackio", "wandb"]
RUN = "{run}"
"""Stands for a run's own folder in a path that must survive the run being moved."""


def _one_or_more(names: Any) -> Any:
    """A name alone is a list of one."""
    return (names,) if isinstance(names, str) else names


class Recipe(Frozen):
    """One system: data, model, decoding, evaluation, seed."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run's name by default: letters, digits, ``.``, ``_`` and ``-``."""
    description: str = ""
    """One sentence for reports and cards."""
    data: Data
    model: dict[str, Any]
    """The registry entry's name and its settings. One that wraps others has them in ``members``:
    a name for each, and a model block, ``{run: FOLDER}`` for a finished run, or a block of
    ``model`` with what else is not the recipe's own (``data``, ``decoding``, ``evaluation``,
    ``seed``, ``stages``)."""
    decoding: Decoding = Decoding()
    evaluation: Evaluation = Evaluation()
    seed: int = 0
    """Decides initial weights, data order and dropout: the same seed gives the same run."""
    stages: tuple[Stage, ...] = ()
    """Fits one after the other: ``name``, ``description``, and what each changes in ``data``,
    ``model``, ``decoding`` and ``evaluation``. The last one's model is the run's."""
    retrieve: Retrieve | None = None
    """Write an index of the (last stage's) training pictures, for similar cases; null: none."""
    folds: int | None = Field(default=None, ge=2, le=100)
    """Fit each member so many times more, without a part of the training split, for answers to
    that part. Needed by a wrapper that learns from its members' answers."""
    report_to: Annotated[tuple[TrackerName, ...], BeforeValidator(_one_or_more)] = ()
    """Trackers that follow the curve of this fit, of its stages and members: ``tensorboard``,
    ``wandb``, ``trackio``, ``mlflow``. They get numbers alone, and change nothing of the run, so
    they are no part of what the recipe makes."""
    claims: tuple[Claim, ...] = ()
    """What the run is to show. ``fit`` records when each was stated, ``vesalius claim`` checks
    them; they are no part of what the recipe makes, so that adding one fits nothing anew."""

    @classmethod
    def read(cls, path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
        """The recipe at ``path`` with ``a.b=value`` overrides; RecipeError names the key."""
        return validated(cls, read_yaml(Path(path), overrides), where=path)

    def members(self) -> dict[str, Recipe | Reference]:
        """What the model wraps, by name: a recipe for each member, or where its finished run is.

        Data, decoding, evaluation and seed are this recipe's, unless the member's block tells
        otherwise. RecipeError names the block that makes no valid recipe.
        """
        blocks = self.model.get("members") or {}
        if not isinstance(blocks, Mapping):
            raise RecipeError("must map names to blocks", where="model.members")
        return {str(key): self._member(str(key), block) for key, block in blocks.items()}

    def _member(self, key: str, block: Any) -> Recipe | Reference:
        where = f"model.members.{key}"
        if not MEMBER.fullmatch(key):
            raise RecipeError("a member's name has letters, digits, _ and -", where=where)
        if not isinstance(block, Mapping):
            raise RecipeError("must be a block", where=where, hint="for example {name: nearest}")
        if "run" in block:
            return validated(Reference, block, where=where)
        over = {"model": block} if "name" in block else dict(block)
        unknown = set(over) - OWN
        if unknown or "model" not in over:
            hint = f"{{name: ...}}, {{run: FOLDER}} or a block of {', '.join(sorted(OWN))}"
            raise RecipeError("is no member", where=where, hint=hint)
        shared = self.model_dump(include=SHARED)
        for name in ("data", "decoding", "evaluation"):
            over[name] = _over(shared[name], over.get(name) or {})
        return validated(Recipe, {**shared, "name": f"{self.name}-{key}", **over}, where=where)

    def unrolled(self) -> tuple[Recipe, ...]:
        """A recipe per stage, the last being the run's own; without stages this recipe itself.

        Each but the first starts from the run of the one before (``model.start``), its folder told
        relative to its own run's. RecipeError names the stage that makes no valid recipe.
        """
        if not self.stages:
            return (self,)
        names = [stage.name for stage in self.stages]
        if len(set(names)) < len(names):
            raise RecipeError("two stages have the same name", where="stages")
        return tuple(self._at(number) for number in range(len(self.stages)))

    def _at(self, number: int) -> Recipe:
        stage, last = self.stages[number], number == len(self.stages) - 1
        where = f"stages.{stage.name}"
        own = self.model_dump(exclude={"stages"})
        blocks = stage.model_dump(include={"data", "model", "decoding", "evaluation"})
        whole = {key: _over(own[key], block) for key, block in blocks.items()}
        if number:
            if "start" in stage.model:
                raise RecipeError("starts from the stage before it", where=f"{where}.model.start")
            folder = stage_folder(number, self.stages[number - 1].name)
            whole["model"]["start"] = f"{RUN}/stages/{folder}" if last else f"{RUN}/../{folder}"
        name = self.name if last else f"{self.name}-{stage.name}"
        described = {"name": name, "description": stage.description or self.description}
        final = {"retrieve": own["retrieve"], "claims": own["claims"]} if last else {}
        of_last = {"retrieve": None, "claims": (), **final}
        return validated(Recipe, {**own, **whole, **described, **of_last}, where=where)

    def digest(self) -> str:
        """A hash of what the recipe says, but for what stands aside (``ASIDE``)."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: Recipe) -> tuple[str, ...]:
        """What another recipe says otherwise, as ``key this -> that``."""
        return tuple(differences(self._content(), other._content()))

    def _content(self) -> dict[str, Any]:
        """All that decides what the recipe makes, as JSON has it."""
        content = self.model_dump(mode="json", exclude=ASIDE)
        for later in ("retrieve", "folds"):  # runs older than these keys keep their digest
            if content[later] is None:
                del content[later]
        for block, later, default in LATER:
            if content[block][later] == default:
                del content[block][later]
        return content

    def to_yaml(self) -> str:
        """The resolved recipe as YAML, every default written out."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def stage_folder(number: int, name: str) -> str:
    """Where below ``stages`` the run of a stage is; ``number`` counts from 1."""
    return f"{number}-{name}"


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe at ``path``; the same as :meth:`Recipe.read`."""
    return Recipe.read(path, overrides)


def _over(own: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """A block over the recipe's own; one that names another data set stands alone."""
    elsewhere = block.get("dataset", own.get("dataset")) != own.get("dataset")
    return dict(block) if elsewhere else merged(own, block)
