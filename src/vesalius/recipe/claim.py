"""A claim: what a run is to show, as its recipe states it."""

from __future__ import annotations

import hashlib
import json
from typing import Self

from pydantic import Field, model_validator

from vesalius.settings import Frozen


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
