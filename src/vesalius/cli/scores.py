"""Scores and differences as tables that fit a terminal of 80 columns; the files hold them all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from vesalius.evaluation.caveats import of_metrics
from vesalius.evaluation.clean import CleanSubset
from vesalius.evaluation.coverage import first_of
from vesalius.evaluation.power import power_line

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.compare import Comparison
    from vesalius.evaluation.differences import Difference
    from vesalius.evaluation.score import Constant, Evaluation

_INTERVALS = {
    "bca": "bias-corrected and accelerated (BCa) where that is defined, else percentiles",
    "exact": "shares of rows each of its own group: Clopper and Pearson's exact interval",
    "wilson": "where every resample scores the same: Wilson's interval over the groups",
}
_SCORE = 29
"""Columns that a slice's score takes: its value, interval and count."""
_CONSTANT = 10
"""Columns that a constant answer's score beside it takes."""


def print_scores(console: Console, evaluation: Evaluation, title: str) -> None:
    """All scores, the first few by slice, and below them once how each was made."""
    counts = ", ".join(
        f"{n:,} {name.replace('_', ' ')}" for name, n in evaluation.facts.items() if n
    )
    console.print(f"[bold]{escape(title)}[/bold]: {counts}", highlight=False)
    constants = [one for one in evaluation.constants if one.values]
    table = _table("score", "value [low, high]", "n", *(one.name for one in constants))
    for score in evaluation.overall():
        cells = [one.cell(score.metric) for one in constants]
        table.add_row(score.metric, evaluation.in_words(score), f"{score.n:,}", *cells)
    console.print(table)
    for one in constants:
        console.print(str(one), style="dim", markup=False, highlight=False)
    _print_slices(console, evaluation)
    for sentence in of_metrics(evaluation):
        console.print(sentence, style="yellow", markup=False, highlight=False)
    _print_notes(console, [*protocol_notes(evaluation.protocols), *_interval_notes(evaluation)])


def print_clean(console: Console, evaluation: Evaluation) -> None:
    """Scores on the clean subset beside those on the whole; nothing where none was asked for."""
    if not evaluation.clean:
        return
    subset = CleanSubset.from_json(evaluation.clean)
    console.print(f"\n[bold]clean subset[/bold]: {escape(str(subset))}", highlight=False)
    table = _table("score", "whole", "clean subset", "n")
    for score in evaluation.overall():
        clean = subset.score(score.metric)
        if clean is not None and evaluation.role(score) == "headline":
            table.add_row(score.metric, str(score), str(clean), f"{clean.n:,}")
    if subset.scores:
        console.print(table)


def constant_notes(constants: Iterable[Constant], metrics: Sequence[str]) -> Iterator[str]:
    """What always giving one answer would score on the same cases."""
    for constant in constants:
        values = [f"{name} {constant.cell(name)}" for name in metrics if name in constant.values]
        if values:
            yield f"{constant}: {', '.join(values)}"


def print_differences(console: Console, comparison: Comparison, title: str) -> None:
    """What the second run scores more than the first, overall and by slice."""
    summary = (
        f"{comparison.shared:,} shared predictions, {comparison.answers_differ:,} answers differ"
    )
    apart = comparison.unshared
    summary += f", {len(apart):,} in one run only ({first_of(apart)})" if apart else ""
    console.print(f"[bold]{escape(title)}[/bold]: {summary}", highlight=False)
    for part, differences in groupby(comparison.differences, key=lambda d: d.slice):
        if len(comparison.differences) > len(comparison.overall()):
            console.print(f"\n{part}", markup=False, highlight=False)
        console.print(_differences(list(differences)))
    power = power_line(comparison.overall(), comparison.level, comparison.protocols)
    note = (
        f"difference: second minus first, with its {comparison.level:.0%} interval; p: paired "
        "approximate randomisation of whole groups, adjusted over slices (Holm)"
    )
    metrics = [d.metric for d in comparison.overall()]
    if notes := list(constant_notes(comparison.constants, metrics)):
        _print_notes(console, notes)
    _print_notes(console, [*protocol_notes(comparison.protocols), note, power])


def protocol_notes(protocols: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for every protocol: who computes it, and in which version."""
    return [
        f"{name}: {protocol['implementation']} {protocol['version']}".rstrip()
        for name, protocol in protocols.items()
    ]


def _differences(differences: Sequence[Difference]) -> Table:
    table = _table("score", "first", "second", "difference", "p", "n")
    for d in differences:
        numbers = [f"{value:.3f}" for value in (d.first, d.second)]
        p = "" if isnan(d.p_holm) else f"{d.p_holm:.4f}"
        table.add_row(d.metric, *numbers, str(d), p, f"{d.n:,}")
    return table


def _print_slices(console: Console, evaluation: Evaluation) -> None:
    """Slices down; across, as many scores as fit of those for which more is better."""
    values = {(s.slice, s.metric): s for s in evaluation.scores if s.slice != "all"}
    slices = list(dict.fromkeys(part for part, _ in values))
    if not slices:
        return
    constants = [one for one in evaluation.constants if one.slices]
    room = console.width - max(map(len, slices)) - 2
    most = room // (_SCORE + len(constants) * _CONSTANT)
    names = _foremost(evaluation)[: max(1, min(4, most))]
    if not names:
        return
    heads = [(name, "n", *(one.name for one in constants)) for name in names]
    table = _table("slice", *(column for columns in heads for column in columns))
    for part in slices:
        cells = [escape(part)]
        for name in names:
            score = values.get((part, name))
            cells += ["", ""] if score is None else [str(score), f"{score.n:,}"]
            cells += [one.cell(name, part) for one in constants]
        table.add_row(*cells)
    console.print()
    console.print(table)


def _foremost(evaluation: Evaluation) -> list[str]:
    """Scores for which more is better: the first of every protocol, then the second ones ..."""
    ranked: dict[str, list[tuple[int, str]]] = {}
    for score in evaluation.overall():
        if evaluation.better(score) == "higher" and evaluation.role(score) == "headline":
            mine = ranked.setdefault(score.protocol, [])
            mine.append((len(mine), score.metric))
    every = [pair for pairs in ranked.values() for pair in pairs]
    return [name for _, name in sorted(every, key=lambda pair: pair[0])]


def _interval_notes(evaluation: Evaluation) -> list[str]:
    drawn = f"{evaluation.resamples:,} resamples of whole groups, seed {evaluation.seed}"
    known = {score.interval for score in evaluation.scores}
    notes = [text for name, text in _INTERVALS.items() if name in known]
    return [f"{evaluation.level:.0%} intervals: {drawn}", *notes]


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    console.print("\n" + "\n".join(notes), style="dim", markup=False, highlight=False)


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        number = column in {"n", "first", "second", "p"}
        table.add_column(
            column, justify="right" if number else "left", style="bold" if i == 0 else ""
        )
    return table
