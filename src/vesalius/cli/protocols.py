"""Protocols side by side on a terminal, with the answers that they read differently."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.cases.prediction import Prediction
    from vesalius.evaluation.protocols import SideBySide


def show(
    console: Console,
    target: Path,
    names: Sequence[str],
    resamples: int | None,
    save: Path | None,
    questions: str | None = None,
) -> None:
    """Score a run or a file by each protocol and print them; ``save`` gets the JSON.

    ``questions`` says what a file is of, as for ``evaluate``.
    """
    from vesalius.run import Run
    from vesalius.steps.coverage import answer_remarks
    from vesalius.steps.evaluate import protocols
    from vesalius.system.files import write_json

    sides, predictions = protocols(target, names, resamples=resamples)
    if save is not None:
        write_json(save, sides.to_json())
    print_sides(console, sides, {p.id: p for p in predictions})
    run = Run.open(target) if target.is_dir() else None
    for sentence in answer_remarks(run, predictions, questions):
        console.print(sentence, style="yellow", markup=False, highlight=False)


def print_sides(console: Console, sides: SideBySide, by_id: Mapping[str, Prediction]) -> None:
    """The scores, then for each protocol after the first which answers it reads differently."""
    table = Table("protocol", "score", "value [low, high]", "n", box=None, padding=(0, 2, 0, 0))
    for protocol in sides.protocols:
        for at, score in enumerate(sides.scores[protocol.name]):
            head = "" if at else protocol.name
            table.add_row(escape(head), score.metric, escape(str(score)), f"{score.n:,}")
    console.print(table)
    for name, why in sides.absent.items():
        console.print(f"{name} not measured: {why}", style="yellow", markup=False)
    first = sides.protocols[0].name
    rows = {key: list(part) for key, part in groupby(sides.apart, lambda a: (a.protocol, a.more))}
    for name, shared in sides.shared.items():
        console.print(f"\n[bold]{escape(name)}[/] against {escape(first)}, {shared:,} answers")
        for more in (True, False):
            part = rows.get((name, more), [])
            n = sum(one.n for one in part)
            what = f"  counts {n:,} answers {'more' if more else 'less'} right"
            console.print(what, highlight=False)
            for one in part:
                console.print(f"    {one.n:,}: {one.reason}", markup=False, highlight=False)
                _print_examples(console, [by_id[i] for i in one.ids])
    notes = [f"{one.name}: {one.about}" for one in sides.protocols]
    drawn = f"{sides.draws.level:.0%} intervals: {sides.draws.resamples:,} resamples of groups"
    console.print("\n" + "\n".join([*notes, drawn]), style="dim", markup=False, highlight=False)


def _print_examples(console: Console, predictions: Sequence[Prediction]) -> None:
    for p in predictions:
        gold = p.references[0].text or ""
        line = f"      {p.id}: {p.text!r} for {gold!r}"
        console.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
