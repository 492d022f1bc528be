"""Scores under three histories as tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.histories import Part
    from vesalius.run import Run

SCORES = "histories"
"""The set's name in the file of scores: ``scores-histories.json``."""


def show(
    console: Console, run: Run, metrics: Sequence[Any], resamples: int | None, save: Path | None
) -> None:
    """Score a run's dialogues under each history, write the scores and print them."""
    from vesalius.cli.scores import constant_notes, protocol_notes
    from vesalius.evaluation.histories import histories_of
    from vesalius.system.files import write_json

    histories = histories_of(run, metrics=metrics, resamples=resamples)
    write_json(run.scores_file(SCORES), histories.to_json())
    if save is not None:
        write_json(save, histories.to_json())
    parts = {"turns": histories.turns, "summaries": histories.summary}
    for name, part in parts.items():
        if part is not None:
            console.print(_scores(f"{run.name}: {name}", part))
            metrics = [score.metric for score in part.scores["gold"].overall()]
            for note in constant_notes(part.constants, metrics):
                console.print(note, style="dim", markup=False, highlight=False)
            console.print(_gaps(f"{run.name}: what {name} lose or gain by the history", part))
            console.print(_power(part), style="dim", highlight=False)
    gold = histories.turns.scores["gold"]
    protocols = {**gold.protocols}
    if histories.summary is not None:
        protocols |= histories.summary.scores["gold"].protocols
    for note in protocol_notes(protocols):
        console.print(note, style="dim", markup=False)
    how = f"{gold.level:.0%} intervals: {gold.resamples} resamples of whole groups"
    test = "p: paired approximate randomisation"
    where = f"slices: {run.scores_file(SCORES)}"
    console.print(f"{how}, seed {gold.seed}; {test}; {where}", style="dim")


def _scores(title: str, part: Part) -> Table:
    table = _table(title, "score", "none", "own", "gold", "n")
    for score in part.scores["gold"].overall():
        each = [part.scores[name].score(score.metric) for name in ("none", "own", "gold")]
        cells = [_short(s.value, s.low, s.high) for s in each]
        table.add_row(score.metric, *cells, str(score.n))
    return table


def _gaps(title: str, part: Part) -> Table:
    from vesalius.evaluation.histories import GAPS

    table = _table(title, "score", *(c for name in GAPS for c in (GAPS[name], "p")), "n")
    gaps = {name: {d.metric: d for d in part.gaps[name].overall()} for name in GAPS}
    for metric, first in gaps["own"].items():
        row = [metric]
        for name in GAPS:
            gap = gaps[name][metric]
            row += [
                _short(gap.difference, gap.low, gap.high, sign="+"),
                "" if isnan(gap.p) else _bare(f"{gap.p:.3f}"),
            ]
        table.add_row(*row, str(first.n))
    return table


def _power(part: Part) -> str:
    """The smallest gaps that these dialogues could have shown."""
    from vesalius.evaluation.power import power_line

    gaps = list(part.gaps.values())
    return power_line((d for one in gaps for d in one.overall()), gaps[0].level, gaps[0].protocols)


def _short(value: float, low: float, high: float, sign: str = "") -> str:
    """A value with its bounds, no zero before the point: three of them fit into 80 columns."""
    if isnan(value):
        return "-"
    text, *bounds = (_bare(f"{number:{sign}.3f}") for number in (value, low, high))
    return text if isnan(low) else f"{text} [{bounds[0]}, {bounds[1]}]"


def _bare(number: str) -> str:
    return number.replace("0.", ".", 1)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, style="bold" if i == 0 else "", overflow="fold")
    return table
