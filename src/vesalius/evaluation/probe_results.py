"""The probes of a run as a file: ``probes.json``, which knows what answers it is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import isnan
from pathlib import Path
from typing import Any

from vesalius.errors import RunError
from vesalius.evaluation.evaluate import predictions_sha256
from vesalius.evaluation.probes import Probe
from vesalius.evaluation.score import Score, score_from_row, without_nan
from vesalius.run import Run
from vesalius.system.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class Probes:
    """What was measured of a set of answers under changes, by one score.

    ``predictions`` names the set that was probed ("" the run's unnamed one) and
    ``predictions_sha256`` its answers. ``sets`` has by probe the name of the set of its answers.
    """

    metric: str
    protocol: str
    split: str
    rows: tuple[Probe, ...]
    sets: Mapping[str, str] = field(default_factory=dict)
    predictions: str = ""
    predictions_sha256: str = ""
    resamples: int = 10_000
    level: float = 0.95
    seed: int = 0

    def row(self, name: str) -> Probe | None:
        """The probe of that name; None if it is not among them."""
        return next((row for row in self.rows if row.name == name), None)

    def verdict(self) -> list[str]:
        """What it comes to in sentences: image reliance, then each probe that was measured."""
        return [self._reliance(), *map(str, self.measured)]

    @property
    def measured(self) -> list[Probe]:
        """The probes that there is something to tell of."""
        return [row for row in self.rows if row.measured]

    @property
    def missing(self) -> list[Probe]:
        """The probes that could not be measured."""
        return [row for row in self.rows if not row.measured]

    def fresh(self, run: Run) -> Probes:
        """Those of the probes that are of the answers that the run has."""
        stale = self.stale(run)
        return replace(self, rows=tuple(row for row in self.rows if row.name not in stale))

    def _reliance(self) -> str:
        """The least image reliance: what the change that leaves most of the score says.

        It is chosen on these very answers, which favours none of them but the lowest.
        """
        known = [row for row in self.rows if row.reliance is not None]
        if not known:
            return f"Image reliance is not measured: {self._without_reliance()}."
        row = min(known, key=lambda one: one.scores["reliance"].value)
        score = row.scores["reliance"]
        what = f"of {self.metric} above a constant answer is lost without the picture"
        doubt = "" if isnan(score.low) or score.low > 0 else "; it may be none"
        return f"Image reliance {in_short(score)}: so much {what} ({row.what}){doubt}."

    def _without_reliance(self) -> str:
        if any("reliance" in row.scores for row in self.rows):
            return f"{self.metric} is no better than a constant answer's"
        return "no probe took the picture away"

    def stale(self, run: Run) -> list[str]:
        """The probes whose answers, or the run's own, are others than those measured."""
        if not _is_of(run, self.predictions, self.predictions_sha256):
            return [row.name for row in self.measured]
        return [
            row.name
            for row in self.measured
            if not _is_of(run, self.sets[row.name], row.predictions_sha256)
        ]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        rows = [
            asdict(row)
            | {"scores": {name: without_nan(asdict(s)) for name, s in row.scores.items()}}
            | {"says": str(row)}
            for row in self.rows
        ]
        return {**asdict(self), "rows": rows, "verdict": self.verdict()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], *, where: object = None) -> Probes:
        """What :meth:`to_json` wrote; RunError if it is something else."""
        try:
            rows = tuple(_probe(row) for row in data["rows"])
            rest = {name: value for name, value in data.items() if name not in ("rows", "verdict")}
            return cls(rows=rows, **rest)
        except (KeyError, TypeError, AttributeError) as error:
            raise RunError(f"not what probes measured: {error}", where=where) from error


def in_short(score: Score) -> str:
    """A score with two digits, and its bounds."""
    bounds = "" if isnan(score.low) else f" [{score.low:.2f}, {score.high:.2f}]"
    return f"{score.value:.2f}{bounds}"


def probes_file(run: Run, predictions: str = "") -> Path:
    """``probes.json``, or ``probes-SET.json`` where a named set was probed."""
    return run.path / (f"probes-{predictions}.json" if predictions else "probes.json")


def probes_of(run: Run, predictions: str = "") -> Probes | None:
    """What stands in the run; None where there is nothing; RunError where it cannot be read."""
    path = probes_file(run, predictions)
    return Probes.from_json(read_json(path), where=path) if path.exists() else None


def save_probes(run: Run, probes: Probes) -> Path:
    """Write them into the run, whole or not at all; the file."""
    path = probes_file(run, probes.predictions)
    write_json(path, probes.to_json())
    return path


def _probe(row: Mapping[str, Any]) -> Probe:
    scores = {name: score_from_row(score) for name, score in row["scores"].items()}
    rest = {name: value for name, value in row.items() if name not in ("scores", "says")}
    return Probe(scores=scores, **rest)


def _is_of(run: Run, name: str, sha256: str) -> bool:
    return run.predictions_file(name).exists() and predictions_sha256(run, name) == sha256
