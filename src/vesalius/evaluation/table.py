"""Systems side by side: a row each, their scores with intervals, and tests against one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vesalius.cases.prediction import Prediction
from vesalius.errors import NotComparable, UnknownName
from vesalius.evaluation.caveats import absences
from vesalius.evaluation.constants import constants
from vesalius.evaluation.differences import Difference, Draws, differences
from vesalius.evaluation.measuring import Measured, Spec, measure
from vesalius.evaluation.metrics import Metric
from vesalius.evaluation.pairing import aligned
from vesalius.evaluation.power import power_line
from vesalius.evaluation.prediction_sets import group_of
from vesalius.evaluation.score import Constant, Score, without_nan
from vesalius.evaluation.scoring import scores
from vesalius.evaluation.stats import clusters, holm
from vesalius.run import FrequentAnswer


@dataclass(frozen=True, slots=True)
class System:
    """One row's predictions under its name, and remarks that its numbers must not be read without.

    A remark is a few words: ``random weights``.
    """

    name: str
    predictions: Sequence[Prediction]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A system's scores over the shared cases, and what it scores more than the baseline.

    ``apart`` counts its predictions that are not shared by all, ``first_apart`` is the first one's
    id. ``against`` is empty in the baseline's own row.
    """

    name: str
    scores: tuple[Score, ...]
    against: tuple[Difference, ...]
    remarks: tuple[str, ...]
    apart: int
    first_apart: str | None

    def score(self, metric: str) -> Score:
        """The score of that name."""
        return next(score for score in self.scores if score.metric == metric)

    def difference(self, metric: str) -> Difference | None:
        """What it scores more than the baseline; None in the baseline's own row."""
        return next((d for d in self.against if d.metric == metric), None)


@dataclass(frozen=True, slots=True)
class Table:
    """Systems on the same cases. ``columns`` are the scores that are shown; the rows hold all.

    Differences are system minus ``baseline``; ``p_holm`` is adjusted over the rows of a column.
    """

    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    baseline: str
    protocols: Mapping[str, Mapping[str, Any]]
    shared: int
    groups: int
    draws: Draws
    constants: tuple[Constant, ...] = ()

    def notes(self) -> Iterator[str]:
        """What must stand below the numbers, a sentence each."""
        yield (
            f"{self.shared:,} cases in {self.groups:,} groups, the same for every row; "
            f"{self.draws.level:.0%} intervals: {self.draws.resamples:,} resamples of whole groups"
        )
        yield (
            f"differences: row minus {self.baseline}; p: paired approximate randomisation of whole "
            "groups, adjusted over the rows of a column (Holm)"
        )
        against = (row.difference(metric) for row in self.rows for metric in self.columns)
        yield power_line((d for d in against if d is not None), self.draws.level)
        yield from map(str, self.constants)
        yield from self._remarks()
        yield from absences(self.protocols)
        yield from self._sizes()

    def _remarks(self) -> Iterator[str]:
        """What holds for some rows, or for every one: remarks, and predictions left out."""
        rows: dict[str, list[str]] = {}
        for row in self.rows:
            lines = [*row.remarks]
            if row.apart:
                lines.append(
                    f"{row.apart:,} predictions, the first {row.first_apart!r}, are not shared by "
                    "all rows and count nowhere"
                )
            for remark in lines:
                rows.setdefault(remark, []).append(row.name)
        for remark, names in rows.items():
            whole = len(names) == len(self.rows)
            yield f"{'every row' if whole else ', '.join(names)}: {remark}"

    def _sizes(self) -> Iterator[str]:
        """Which columns rest on a part of the cases, and on how many of each row's."""
        absent = {name for facts in self.protocols.values() for name in facts["absent"]}
        for metric in self.columns:
            sizes = {row.name: row.score(metric).n for row in self.rows}
            counts = ", ".join(f"{name} {n:,}" for name, n in sizes.items())
            if min(sizes.values()) == max(sizes.values()):
                counts = f"{max(sizes.values()):,} of every row"
            if metric not in absent and min(sizes.values()) < self.shared:
                yield f"{metric} is measured on a part of the cases: {counts}"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready data; what was not measured is null."""
        rows = [
            asdict(row)
            | {
                "scores": [without_nan(asdict(score)) for score in row.scores],
                "against": [without_nan(asdict(d)) for d in row.against],
            }
            for row in self.rows
        ]
        return asdict(self) | {"rows": rows, "notes": list(self.notes())}


def table(
    systems: Sequence[System],
    metrics: Sequence[Spec | Metric],
    *,
    baseline: str | None = None,
    draws: Draws | None = None,
    trained: FrequentAnswer | None = None,
) -> Table:
    """Score systems on the cases that all of them answered, and test each against ``baseline``.

    ``baseline`` is a system's name, by default the first one's. Each text is measured once.
    Rows of fixed answers stand below, the most frequent one being ``trained`` where it is known.
    NotComparable for fewer than two systems, two of one name, no shared case, or a case that stands
    for two questions; UnknownName for a baseline that there is not.
    """
    draws = draws or Draws()
    names = [system.name for system in systems]
    if len(names) < 2 or len(set(names)) < len(names):
        hint = "name two runs or more, each once"
        raise NotComparable(f"a table of {', '.join(names) or 'nothing'}", hint=hint)
    main = names[0] if baseline is None else baseline
    if main not in names:
        raise UnknownName("row", main, names, where="--baseline")
    columns = aligned(*(system.predictions for system in systems))
    shared = {p.id for p in columns[0]}
    groups = clusters([group_of(p) for p in columns[0]])
    measured = [measure(column, metrics) for column in columns]
    against = _against(measured, names.index(main), groups, draws)
    rows = [
        _row(system, tuple(scores(own, groups, draws)), tuple(rest), shared)
        for system, own, rest in zip(systems, measured, against, strict=True)
    ]
    _refuse_alike(rows[0].scores)
    return Table(
        rows=tuple(rows),
        columns=tuple(_columns(measured[0], rows[0])),
        baseline=main,
        protocols={one.name: one.metric.protocol.to_dict() for one in measured[0]},
        shared=len(shared),
        groups=len(set(groups.tolist())),
        draws=draws,
        constants=tuple(c for c in constants(columns[0], metrics, trained) if c.values),
    )


def _row(
    system: System, own: tuple[Score, ...], against: tuple[Difference, ...], shared: set[str]
) -> Row:
    apart = [p.id for p in system.predictions if p.id not in shared]
    first = apart[0] if apart else None
    return Row(system.name, own, against, system.remarks, len(apart), first)


def _refuse_alike(scores_of_one: Sequence[Score]) -> None:
    """NotComparable where two protocols give scores of one name: a column has one protocol."""
    protocols: dict[str, str] = {}
    for score in scores_of_one:
        other = protocols.setdefault(score.metric, score.protocol)
        if other != score.protocol:
            what = f"{other} and {score.protocol} both give {score.metric}"
            raise NotComparable(what, hint="a table's column has one protocol: name one of them")


def _columns(measured: Sequence[Measured], row: Row) -> Iterator[str]:
    """The scores that stand for each metric: those it names as foremost, else its first."""
    for one in measured:
        own = [score.metric for score in row.scores if score.protocol == one.name]
        yield from one.metric.protocol.foremost or own[:1]


def _against(
    measured: Sequence[Sequence[Measured]], main: int, groups: Any, draws: Draws
) -> list[list[Difference]]:
    """Each system's differences to the main one, p-values adjusted over the systems; its own: []"""
    rows = [
        [] if at == main else differences(measured[main], own, groups, draws)
        for at, own in enumerate(measured)
    ]
    others = [at for at in range(len(rows)) if at != main]
    for place in range(len(rows[others[0]])):
        for at, p in zip(others, holm([rows[at][place].p for at in others]), strict=True):
            rows[at][place] = replace(rows[at][place], p_holm=p)
    return rows
