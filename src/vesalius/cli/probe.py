"""probe."""

from functools import partial
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import EVALUATE
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, Workers, sharing

if TYPE_CHECKING:
    from rich.table import Table

    from vesalius.evaluation.probe_results import Probes
    from vesalius.evaluation.score import Score


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(probe)


def probe(
    run: Annotated[Path, typer.Argument(help="A fitted run's folder.")],
    only: Annotated[
        str | None,
        typer.Option(help="Names, comma-separated: blank,mirrored ... Default: all it can have."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Default: the recipe's test split.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many questions.")] = None,
    translated_by: Annotated[
        str | None,
        typer.Option(help="For back-translated: a run's folder, a recipe, or a server's URL."),
    ] = None,
    language: Annotated[str, typer.Option(help="Which it translates into, and back.")] = "German",
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Ask a run again with changed pictures and words: what its score rests on."""
    from rich.console import Console

    from vesalius.errors import RecipeError
    from vesalius.evaluation.probe_results import probes_file
    from vesalius.run import Run
    from vesalius.steps.probe import probe as step

    fitted, console = Run.open(run), Console()
    names = [name.strip() for name in (only or "").split(",") if name.strip()]
    shared = sharing(worker, merge, shards, engine, workers)
    if shared and translated_by is not None:
        hint = "first --only back-translated with --translated-by, in one process"
        raise RecipeError("workers do not translate: each would do it", hint=hint)
    if translated_by is not None:
        from vesalius.steps.back_translation import translate
        from vesalius.steps.judges import Server, judge_of

        by = judge_of(translated_by, fitted, Server(), pictures=False)
        translate(fitted, by, language, split=split, limit=limit)
    if shared:
        from vesalius.steps.sharing import shared_probe

        asked: dict[str, Any] = {"only": names, "split": split, "limit": limit}
        shared.job(partial(shared_probe, run, at=shards, **asked)).merge()
    probes = step(fitted, only=names, split=split, limit=limit)
    console.print(f"[bold]{fitted.name}[/bold]: {probes.metric} under changes", highlight=False)
    console.print(_table(probes))
    for sentence in probes.verdict():
        console.print(f"- {sentence}", markup=False, highlight=False)
    for row in probes.missing:
        console.print(
            f"- {row.name}: not measured: {row.reason}", style="dim", markup=False, highlight=False
        )
    how = (
        f"change: after minus before, with its {probes.level:.0%} interval: {probes.resamples:,} "
        f"resamples of whole groups, seed {probes.seed}"
    )
    console.print(f"\n{how}\nwrote {probes_file(fitted, probes.predictions)}", style="dim")


def _table(probes: "Probes") -> "Table":
    """A row for each probe that was measured; it fits into 80 columns."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("probe", "n", "before", "after", "change", "flips", "reliance"):
        left = name in {"probe", "change", "reliance"}
        table.add_column(
            name, justify="left" if left else "right", style="bold" if name == "probe" else ""
        )
    for row in probes.measured:
        cells = [_bare(f"{row.scores[name].value:.3f}") for name in ("before", "after")]
        change, flips = _cell(row.scores["change"], "+"), row.scores["flips"].value
        reliance = "" if row.reliance is None else _cell(row.reliance)
        table.add_row(row.name, f"{row.n:,}", *cells, change, _bare(f"{flips:.2f}"), reliance)
    return table


def _cell(score: "Score", sign: str = "") -> str:
    """A score with its bounds, two digits, no zero before the point."""
    from rich.markup import escape

    text, *bounds = (_bare(f"{v:{sign}.2f}") for v in (score.value, score.low, score.high))
    return text if isnan(score.low) else escape(f"{text} [{', '.join(bounds)}]")


def _bare(number: str) -> str:
    return number.replace("0.", ".", 1)
