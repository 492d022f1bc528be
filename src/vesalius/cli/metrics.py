"""metrics test: what metrics see of texts that are wrong in one way."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vesalius.cli.panels import EVALUATE

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.self_test.verdicts import Seen, SelfTest

app = typer.Typer(help="Metrics: what each of them can see.", no_args_is_help=True)


def register(parent: typer.Typer) -> None:
    """Add the commands on metrics."""
    parent.add_typer(app, name="metrics", rich_help_panel=EVALUATE)


@app.callback()
def root() -> None:
    """Metrics: what each of them can see."""


@app.command("test")
def check_metrics(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Metrics, as --metric takes them. Default: all."),
    ] = None,
    save: Annotated[Path | None, typer.Option("--json", help="Write all of it here.")] = None,
) -> None:
    """Which changes of a right text each metric sees: negation, side, number, organ ..."""
    from rich.console import Console

    from vesalius.cli.evaluation import metric_specs
    from vesalius.evaluation.self_test.verdicts import self_test
    from vesalius.system.files import write_json

    done = self_test(metric_specs(names))
    if save is not None:
        write_json(save, done.to_json())
    _show(Console(), done, details=bool(names))


def _show(console: "Console", done: "SelfTest", *, details: bool) -> None:
    from vesalius.evaluation.self_test.verdicts import PARTLY, SEES

    if details:
        _print_each(console, done.overall())
        _print_modalities(console, done)
    else:
        _print_short(console, done)
    for name, reason in done.absent.items():
        console.print(f"{name} not measured: {reason}", style="yellow", markup=False)
    note = (
        f"sees: the change costs at least {SEES:.0%} of what another case's text costs; partly: at "
        f"least {PARTLY:.0%}; blind: less. Paraphrase and shuffled sentences say the same: better "
        "tolerated. Made-up sentences, few of each kind: what fails here fails on reports, what "
        "does well here may not."
    )
    console.print(f"\n{note}", style="dim", markup=False, highlight=False)


def _print_short(console: "Console", done: "SelfTest") -> None:
    """A row a score: the kinds by verdict."""
    from rich.table import Table

    from vesalius.evaluation.score import ALL

    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("score", style="bold", no_wrap=True)
    for name in ("sees", "partly", "blind to", "paraphrase"):
        table.add_column(name)
    for scores in done.verdicts().values():
        for score, by_modality in scores.items():
            words = dict(by_modality[ALL])
            paraphrase = words.pop("paraphrase", "")
            cells = (
                ", ".join(kind for kind, own in words.items() if own == word)
                for word in ("sees", "partly", "blind")
            )
            table.add_row(score, *cells, paraphrase)
    console.print(table)


def _print_each(console: "Console", rows: "Sequence[Seen]") -> None:
    """A row a score and kind, with the values."""
    from rich.table import Table

    table = Table("score", "change", box=None, padding=(0, 2, 0, 0))
    for name in ("right", "changed", "drop", "n"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    before = ""
    for row in rows:
        values = (f"{value:.3f}" for value in (row.right, row.changed, row.drop))
        head = "" if row.metric == before else row.metric
        before = row.metric
        table.add_row(head, row.kind, *values, f"{row.n}", row.verdict or "not measured")
    console.print(table)


def _print_modalities(console: "Console", done: "SelfTest") -> None:
    """Where a modality's verdict is another than that of all."""
    words = {(row.metric, row.kind): row.verdict for row in done.overall()}
    apart: dict[tuple[str, str, str], list[str]] = {}
    for row in done.rows:
        if row.verdict and row.verdict != words[row.metric, row.kind]:
            apart.setdefault((row.metric, row.kind, row.verdict), []).append(row.modality)
    if apart:
        console.print("\nby modality otherwise:")
    for (metric, kind, word), names in apart.items():
        line = f"  {metric}, {kind}: {word} in {', '.join(names)}"
        console.print(line, markup=False, highlight=False)
