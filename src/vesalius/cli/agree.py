"""agree: how far raters agree, who is strict, and which metrics follow them."""

import json
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Any

import typer

from vesalius.cli.evaluation import Metrics, metric_specs
from vesalius.cli.panels import EVALUATE


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(agree)


def agree(
    files: Annotated[
        list[Path], typer.Argument(help="Files of ratings (.jsonl, .csv), of experts or judges.")
    ],
    run: Annotated[
        list[Path] | None,
        typer.Option(help="A run that was rated: adds patients, metrics and mean grades."),
    ] = None,
    metric: Metrics = None,
    adjudicated: Annotated[
        bool,
        typer.Option("--adjudicated", help="Use final grades in place of the raters'."),
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(help="With two runs or more: write preference pairs here (JSON lines)."),
    ] = None,
    axis: Annotated[str, typer.Option(help="Of the preference pairs.")] = "accuracy",
    disputed: Annotated[
        Path | None,
        typer.Option(help="Write the answers to adjudicate here: grades two or more apart."),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write the figures here (JSON, raters as hashes).")
    ] = None,
) -> None:
    """Agreement of raters by axis, how strict each is, and which metrics follow them."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table
    from vesalius.evaluation.preference_pairs import preference_pairs
    from vesalius.evaluation.rater_figures import figures, rated_systems
    from vesalius.evaluation.rater_names import hash_raters
    from vesalius.evaluation.raters import adjudication_list
    from vesalius.evaluation.rating_files import read_ratings
    from vesalius.run import Run
    from vesalius.system.files import write_json

    console = Console()
    ratings, names = hash_raters(read_ratings(*files))
    runs = [Run.open(path) for path in run or ()]
    if pairs is not None:
        count = _write_lines(pairs, preference_pairs(runs, ratings, axis))
        console.print(f"{count} preference pairs in {pairs}", markup=False, soft_wrap=True)
        return
    rated = rated_systems(runs, ratings)
    metrics = metric_specs(metric) or list(runs[0].recipe().evaluation.metrics if runs else ())
    facts = figures(rated, metrics, adjudicated=adjudicated)
    for title, table in facts.items():
        console.print(facts_table(title, {_named(k, names): _words(v) for k, v in table.items()}))
        if table.get("raters") == 1:
            console.print(f"{title}: there is one rater, and agreement needs two", style="yellow")
    if save is not None:
        write_json(save, facts)
    if disputed is not None:
        rows = adjudication_list([one for part in rated for one in part.ratings])
        count = _write_lines(disputed, rows)
        console.print(f"{count} to adjudicate in {disputed}", markup=False, soft_wrap=True)


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> int:
    """Write rows as JSON lines; how many there are."""
    from vesalius.system.files import write_atomic

    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(rows)


def _named(figure: str, names: Mapping[str, str]) -> str:
    """What a figure is called, with the rater as they called themselves."""
    rater, colon, rest = figure.partition(": ")
    return f"{names.get(rater, rater)}{colon}{rest}"


def _words(one: Any) -> Any:
    """A figure with its interval as words; NaN is not measured."""
    if isinstance(one, dict):
        if isnan(one["value"]):
            return "not measured"
        if isnan(one["low"]):
            return f"{one['value']:.3f}, interval not measured"
        return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
    if isinstance(one, float):
        return "not measured" if isnan(one) else f"{one:.3f}"
    return one
