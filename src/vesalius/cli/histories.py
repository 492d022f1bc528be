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
    from vesalius.evaluation.histories import histories_of
    from vesalius.files import write_json

    found = histories_of(run, metrics=metrics, resamples=resamples)
    write_json(run.scores_file(SCORES), found.to_json())
    if save is not None:
        write_json(save, found.to_json())
    parts = {"turns": found.turns, "summaries": found.summary}
    for name, part in parts.items():
        if part is not None:
            console.print(_scores(f"{run.name}: {name}", part))
            console.print(_gaps(f"{run.name}: what {name} lose or gain by the history", part))
    gold = found.turns.scores["gold"]
    how = f"{gold.level:.0%} intervals: {gold.resamples} resamples of whole groups"
    test = "p: paired approximate randomisation"
    where = f"slices and protocols: {run.scores_file(SCORES)}"
    console.print(f"{how}, seed {gold.seed}; {test}; {where}", style="dim")


def _scores(title: str, part: Part) -> Table:
    table = _table(title, "score", "none", "own", "gold", "n", "protocol")
    for score in part.scores["gold"].overall():
        each = [part.scores[name].score(score.metric) for name in ("none", "own", "gold")]
        protocol = part.scores["gold"].protocols[score.protocol]
        how = f"{protocol['implementation']} {protocol['version']}".strip()
        table.add_row(score.metric, *map(str, each), str(score.n), how)
    return table


def _gaps(title: str, part: Part) -> Table:
    from vesalius.evaluation.histories import GAPS

    columns = [column for name in GAPS for column in (GAPS[name], "p")]
    table = _table(title, "score", *columns, "n")
    found = {name: {d.metric: d for d in part.gaps[name].overall()} for name in GAPS}
    for metric, first in found["own"].items():
        row = [metric]
        for name in GAPS:
            gap = found[name][metric]
            row += [str(gap), "" if isnan(gap.p) else f"{gap.p:.4f}"]
        table.add_row(*row, str(first.n))
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        table.add_column(column, style="bold" if i == 0 else "")
    return table
