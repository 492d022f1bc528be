"""The blocks of a recipe: what is read, how it is decoded and scored, and the stages of a fit."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, NonNegativeInt, model_validator

from vesalius.cases.tasks import task_of
from vesalius.errors import UnknownName, VesaliusError
from vesalius.settings import Frozen


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
