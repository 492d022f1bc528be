"""Whether a combination helped, on a terminal: the sentences, then every contrast."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from vesalius.evaluation.gain import Contrast, Gain

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.score import Evaluation


def print_gain(console: Console, evaluation: Evaluation | None) -> None:
    """What a combination gains; nothing where the evaluation is of no combination."""
    if evaluation is None or not evaluation.gain:
        return
    gain = Gain.from_json(evaluation.gain)
    console.print("\n[bold]Did it help?[/bold]")
    for sentence in gain.sentences():
        console.print(f"- {sentence}", markup=False, highlight=False)
    for heading, contrasts in gain.groups():
        console.print(f"\n{heading}", markup=False, highlight=False)
        console.print(_table(contrasts))


def _table(contrasts: Sequence[Contrast]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    several = len({contrast.other for contrast in contrasts}) > 1
    for name in ("score", "difference", "p", "n", *(("member",) if several else ())):
        table.add_column(name, style="bold" if name == "score" else "")
    for contrast in contrasts:
        d = contrast.difference
        p = "" if isnan(d.p) else f"{d.p:.4f}"
        member = (escape(contrast.other),) if several else ()
        table.add_row(d.metric, escape(str(d)), p, f"{d.n:,}", *member)
    return table
