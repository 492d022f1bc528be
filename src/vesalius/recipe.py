"""A recipe: one system in words, validated, frozen, and saved with every run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, NonNegativeInt, model_validator

from vesalius.cases.tasks import task_of
from vesalius.errors import RecipeError, UnknownName, VesaliusError
from vesalius.retrieval import Retrieve as Retrieve  # noqa: PLC0414
from vesalius.retrieval import Search as Search  # noqa: PLC0414
from vesalius.settings import Frozen, differences, merged, read_yaml, validated

MEMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""What a member may be called: its run's folder has its name."""
OWN = {"model", "data", "decoding", "evaluation", "seed", "stages", "folds"}
"""What a member's block may say in another way than the recipe that holds it."""
LATER: tuple[tuple[str, str, Any], ...] = (
    ("data", "mix", []),
    ("data", "seed", 0),
    ("evaluation", "interval", "percentile"),
)
"""Keys that runs do not have which are older than they are: at their default they do not count."""
RUN = "{run}"
"""Stands for a run's own folder in a path that must survive the run being moved."""


def _known_task(name: str) -> str:
    try:
        return task_of(name).name
    except VesaliusError as error:
        raise ValueError(str(error)) from error


TaskName = Annotated[str, AfterValidator(_known_task)]
"""A task of the table, ours or another package's."""


class Splits(Frozen):
    """Which split plays which part. The test split is never used to choose anything."""

    train: str = "train"
    validation: str | None = "validation"
    test: str = "test"


class MixSplits(Frozen):
    """Which of a mixed-in set's splits play which part; null: none does."""

    train: str | None = "train"
    validation: str | None = None
    test: str | None = None


class Mix(Frozen):
    """Another data set beside the recipe's own."""

    dataset: str
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What it is called in ids and scores; default the data set's name. No two sets share one."""
    root: str | None = None
    hub: bool | str = False
    options: dict[str, Any] = Field(default_factory=dict)
    weight: float = Field(default=1.0, gt=0.0, le=100.0)
    """How often its training dialogues are drawn, relative to their number: 0.25 a quarter of
    them, 2 each of them twice. Those of the recipe's own set are drawn once."""
    splits: MixSplits = MixSplits()
    task: TaskName | None = None
    """What becomes a dialogue, and what is asked for a caption; null: as the recipe's own set."""
    instruction: str | None = None
    limit: NonNegativeInt | None = None
    """At most so many cases of each split."""


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
    drawn: bool = False
    """The folder holds phantoms drawn in the publisher's layout, as ``--tiny`` makes them."""
    task: TaskName = "vqa"
    """``vqa``: a dialogue a question; ``caption``: the caption; ``dialogue``: all questions as
    turns; ``visual_dialogue``: these ordered, free of contradictions, closed by a summary;
    ``detect``: the boxes; ``concepts``: the concepts."""
    instruction: str = "Describe this image."
    """What is asked for a caption, for boxes or for concepts."""
    context: tuple[str, ...] = ()
    """Context fields shown in the prompt, e.g. ``[indication, history]``."""
    categories: tuple[str, ...] | None = None
    """Keep only questions of these categories."""
    splits: Splits = Splits()
    leaks: Literal["refuse", "drop", "allow"] = "refuse"
    """Splits that share patients, pictures or near-duplicates: ``refuse`` to fit, ``drop`` such
    cases from training (and from validation where the test split has them), or ``allow`` them.
    The run records what was found and dropped."""
    limit: dict[str, NonNegativeInt] = Field(default_factory=dict)
    """At most so many cases per split, e.g. ``{train: 100}``."""
    mix: tuple[Mix, ...] = ()
    """Further data sets, for the training split and, where they name one, for the others."""
    seed: int = 0
    """Of what is drawn from ``mix``."""

    @model_validator(mode="after")
    def _sets_of_different_names(self) -> Self:
        names = [self.dataset, *(one.name or one.dataset for one in self.mix)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"mix: two sets are called {name!r}; give one another name")
        return self

    @model_validator(mode="after")
    def _limits_of_splits(self) -> Self:
        named = [name for name in self.splits.model_dump().values() if name is not None]
        for split in self.limit:
            if split not in named:
                raise ValueError(UnknownName("split", split, named, where="limit").args[0])
        return self


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
    interval: Literal["percentile", "bca", "exact"] = "percentile"
    """How scores' bounds are made of the resamples: ``percentile``; ``bca``, corrected for bias and
    skew; ``exact`` (Clopper and Pearson) for shares of rows that are each a group of its own, such
    as pictures of as many patients. Where the chosen one is not defined, percentiles stand, and
    each score tells. Differences always have percentile bounds."""
    validate_on: int = Field(default=0, ge=0)
    """So many validation dialogues are answered after each epoch of training; 0: none."""
    watch: str = "squad.em"
    """The score that validation looks at; one of which higher is better."""
    seed: int = 0


class Claim(Frozen):
    """What a run is to show, stated before it is predicted: one of three verbs, and a metric."""

    better_than: str | None = None
    """A run's folder (or a file of predictions): the score is better than its."""
    not_worse_than: str | None = None
    """The same, but for ``margin`` points at most it is no worse."""
    equal_to: str | None = None
    """The score differs from its by less than the share ``within``."""
    metric: str = "squad.em"
    """A score's name (``vesalius evaluate`` shows them); ``length.words`` is the answers' length,
    ``image_reliance`` the share of the recipe's first score, above a constant answer, that is lost
    with blank pictures (or those of the set ``on``)."""
    margin: float | None = Field(default=None, ge=0.0)
    """Of ``not_worse_than``, in points of the score; null: none."""
    within: float | None = Field(default=None, gt=0.0, lt=1.0)
    """Of ``equal_to``: 0.2 is 20 % of the other's score, which null stands for."""
    on: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    """The set of predictions, in both runs: one of an external set, for example."""

    @model_validator(mode="after")
    def _one_verb(self) -> Self:
        if sum(bool(run) for run in (self.better_than, self.not_worse_than, self.equal_to)) != 1:
            raise ValueError("a claim has one of better_than, not_worse_than and equal_to")
        for name, verb in (("margin", self.not_worse_than), ("within", self.equal_to)):
            if getattr(self, name) is not None and not verb:
                raise ValueError(f"{name} belongs to another verb than this claim's")
        return self

    @property
    def against(self) -> str:
        """The run that it is held against."""
        return self.better_than or self.not_worse_than or self.equal_to or ""

    @property
    def share(self) -> float:
        """By how much of the other's score the two may differ."""
        return 0.2 if self.within is None else self.within

    @property
    def digest(self) -> str:
        """A hash of what it says."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def __str__(self) -> str:
        where = f" on {self.on}" if self.on else ""
        if self.better_than:
            return f"{self.metric}{where} is better than that of {self.against}"
        if self.not_worse_than:
            by = f" by more than {self.margin:g}" if self.margin else ""
            return f"{self.metric}{where} is not worse than that of {self.against}{by}"
        return f"{self.metric}{where} is within {self.share:.0%} of that of {self.against}"


class Stage(Frozen):
    """One of several fits, each of which starts from the model that the last one left.

    Its blocks go over the recipe's own: keys that are not said stay as they are, but a ``data``
    block that names another data set stands alone.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    """What the stage is for: ``align``, ``instruct``, ``task``."""
    description: str = ""
    """One sentence on what trains, and on what."""
    data: dict[str, Any] = Field(default_factory=dict)
    model: dict[str, Any] = Field(default_factory=dict)
    decoding: dict[str, Any] = Field(default_factory=dict)
    evaluation: dict[str, Any] = Field(default_factory=dict)


class Reference(Frozen):
    """A member that is a finished run."""

    run: str
    """Its folder, from here."""


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
        shared = self.model_dump(include={"data", "decoding", "evaluation", "seed"})
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
        """A hash of what the recipe says (names, descriptions and claims aside)."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()[:16]

    def differences(self, other: Recipe) -> tuple[str, ...]:
        """What another recipe says otherwise, as ``key this -> that``."""
        return tuple(differences(self._content(), other._content()))

    def _content(self) -> dict[str, Any]:
        """All but name, description and claims, as JSON has it."""
        content = self.model_dump(mode="json", exclude={"name", "description", "claims"})
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
