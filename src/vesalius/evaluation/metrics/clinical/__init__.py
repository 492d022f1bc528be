"""RadGraph, CheXbert, RaTEScore, GREEN and CRIMSON by RadEval, in an environment of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, PrivateAttr

from vesalius.cases.prediction import Prediction
from vesalius.errors import RecipeError
from vesalius.evaluation.metrics import OUTSIDE, Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.interpreter import installed, scores
from vesalius.evaluation.metrics.table import means
from vesalius.evaluation.metrics.words import golds
from vesalius.settings import Frozen
from vesalius.system.tables import packaged_table

PACKAGE = "RadEval"


class Clinical(Frozen):
    """A metric of RadEval, whose requirements exclude ours: an interpreter that has it is named."""

    name: ClassVar[str]

    python: str | None = None
    """An interpreter that can import RadEval; null: not measured."""
    weights: str | None = None
    """A folder with the weights as the hub's cache has them (its ``HF_HOME``)."""
    hub: str | None = None
    """The weights' hub id, to let the process fetch them: without it, it has no network."""
    timeout: float = Field(3600.0, gt=0)
    """Seconds that it may take."""

    _failure: str = PrivateAttr("")

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made, or why they are not."""
        row = self._row()
        reason = self._absence()
        versions = (
            {} if self.python is None else installed(self.python, PACKAGE).get("versions", {})
        )
        return ScoringProtocol(
            name=self.name,
            implementation="RadEval, in an environment of its own",
            version=str(versions.get("RadEval", "")),
            parameters={
                "weights": row["weights"],
                "licence of the weights": row["licence"],
                "valid for": ", ".join(row["modalities"]),
                "network": self.hub is not None,
            },
            normalisation="RadEval's; empty answers "
            + ("as RadEval does" if row["empty"] is None else f"score {row['empty']:g}"),
            averaging="maximum over references; mean over texts",
            foremost=(row["foremost"],),
            absent=dict.fromkeys(row["scores"], reason) if reason else {},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Each score of each text; NaN for all where the process did not answer as it must."""
        row = self._row()
        wanted = [(i, p.text, gold) for i, p in enumerate(predictions) for gold in golds(p)]
        sent = [one for one in wanted if one[1].strip() or row["empty"] is None]
        table = {name: np.full(len(predictions), np.nan) for name in row["scores"]}
        values = self._scores([(text, gold) for _, text, gold in sent])
        for name, key in row["scores"].items() if values else ():
            if row["empty"] is not None:
                table[name][[i for i, text, _ in wanted if not text.strip()]] = row["empty"]
            for (i, *_), value in zip(sent, values[key], strict=True):
                table[name][i] = np.fmax(table[name][i], value)
        known = row["modalities"]
        outside = [p.modality is not None and p.modality.lower() not in known for p in predictions]
        return {**table, OUTSIDE: np.array(outside, dtype=np.float64)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, self._row()["scores"])

    def _scores(self, pairs: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[float]]:
        """By RadEval's key a value for each pair; empty where there is none, the reason noted."""
        row = self._row()
        if self._absence() or self.python is None:
            return {}
        keys = list(row["scores"].values())
        if not pairs:
            return {key: [] for key in keys}
        values, self._failure = scores(
            *(self.python, PACKAGE, {"flag": row["flag"]}, pairs, keys),
            weights=self.weights,
            network=self.hub is not None,
            timeout=self.timeout,
        )
        return values

    def _absence(self) -> str:
        """Why nothing is measured; empty where nothing is known against it."""
        row = self._row()
        if self.hub is not None and self.hub != row["weights"]:
            raise RecipeError(f"its weights are {row['weights']}", where=f"{self.name}:hub")
        if self.python is None:
            return f"no interpreter with RadEval is named ({self.name}:python=PATH)"
        return self._failure or str(installed(self.python, PACKAGE).get("error", ""))

    def _row(self) -> Mapping[str, Any]:
        return _rows()[self.name]


class RadGraph(Clinical):
    """RadGraph F1: entities and relations that two reports share. Source: Jain et al., 2021."""

    name: ClassVar[str] = "radgraph"


class CheXbert(Clinical):
    """CheXbert: share of 5 or 14 chest findings labelled alike, a text; no F1, for RadEval gives no
    labels of single texts. Source: Smit et al., 2020.
    """

    name: ClassVar[str] = "chexbert"


class RaTEScore(Clinical):
    """RaTEScore: entities matched by meaning; negation costs little. Source: Zhao et al., 2024."""

    name: ClassVar[str] = "ratescore"


class Green(Clinical):
    """GREEN: a language model counts clinical errors. Source: Ostmeier et al., 2024."""

    name: ClassVar[str] = "green"


class Crimson(Clinical):
    """CRIMSON: a language model weighs errors by severity, in [-1, 1]. Source: RadEval."""

    name: ClassVar[str] = "crimson"


@cache
def _rows() -> Mapping[str, Mapping[str, Any]]:
    rows: Mapping[str, Mapping[str, Any]] = packaged_table(__package__, "rows.yaml")
    return rows
