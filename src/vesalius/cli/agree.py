"""agree: how far raters agree, who is strict, and which metrics follow them."""

import json
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.evaluation import Metrics, metric_specs
from vesalius.cli.panels import EVALUATE

if TYPE_CHECKING:
    from vesalius.evaluation.agreement import Agreement


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(agree)


def agree(
    files: Annotated[
        list[Path], typer.Argument(help="Files of ratings (.jsonl, .csv), of experts or judges.")
    ],
    run: Annotated[
        list[Path] | None, typer.Option(help="The run that was rated: adds patients and metrics.")
    ] = None,
    metric: Metrics = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="With two runs or more: write preference pairs here (JSON lines)."),
    ] = None,
    axis: Annotated[str, typer.Option(help="Of the preference pairs.")] = "accuracy",
    disputed: Annotated[
        Path | None,
        typer.Option(help="Write the answers to adjudicate here: grades two or more apart."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Also write the figures here (JSON).")] = None,
) -> None:
    """Agreement of raters by axis, how strict each is, and which metrics follow them."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table
    from vesalius.errors import RunError
    from vesalius.evaluation.preference_pairs import preference_pairs
    from vesalius.evaluation.rating_files import read_ratings
    from vesalius.run import Run
    from vesalius.system.files import write_atomic, write_json

    console = Console()
    ratings = read_ratings(*files)
    runs = [Run.open(path) for path in run or ()]
    if pairs is not None:
        rows = preference_pairs(runs, ratings, axis)
        write_atomic(pairs, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
        console.print(f"{len(rows)} preference pairs in {pairs}", markup=False, soft_wrap=True)
        return
    if len(runs) > 1:
        raise RunError("agreement is on one run's answers", hint="--pairs takes several")
    facts = _facts(runs[0] if runs else None, ratings, metric_specs(metric))
    for title, table in facts.items():
        console.print(facts_table(title, {name: _words(one) for name, one in table.items()}))
    if save is not None:
        write_json(save, facts)
    if disputed is not None:
        count = _write_disputed(disputed, runs[0] if runs else None, ratings)
        console.print(f"{count} to adjudicate in {disputed}", markup=False, soft_wrap=True)


def _write_disputed(path: Path, run: Any, ratings: Any) -> int:
    """Write a line for every axis of an answer that is to be adjudicated; how many there are."""
    from vesalius.evaluation.raters import axis_tables
    from vesalius.evaluation.raters import disputed as rows_of
    from vesalius.evaluation.rating_files import ratings_of
    from vesalius.system.files import write_atomic

    known = ratings if run is None else ratings_of(run, ratings)
    rows = [row for table in axis_tables(known, []) for row in rows_of(table)]
    write_atomic(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(rows)


def _facts(run: Any, ratings: Any, metrics: list[Any]) -> dict[str, dict[str, Any]]:
    """The figures of each axis, by what they are called."""
    from vesalius.evaluation.prediction_sets import group_of
    from vesalius.evaluation.rank_correlation import least_spearman
    from vesalius.evaluation.rated_errors import error_marks
    from vesalius.evaluation.raters import agreement_of, axis_tables, biases, following
    from vesalius.evaluation.rating_files import ratings_of

    predictions = [] if run is None else list(run.predictions())
    ratings = ratings if run is None else ratings_of(run, ratings)
    facts: dict[str, dict[str, Any]] = {}
    for table in axis_tables(ratings, predictions):
        groups = len(set(table.groups.tolist()))
        rows: dict[str, Any] = {
            "answers": len(table.answers),
            "in groups": groups,
            "raters": len(table.raters),
            "agreement (ordinal alpha)": _row(agreement_of(table)),
        }
        for one in biases(table, ratings):
            rows |= {f"{one.rater}: above the others by": _row(one.bias)}
            rows |= {f"{one.rater}: rated": one.rated}
            rows |= {f"{one.rater}: could not judge": one.could_not} if one.could_not else {}
        if run is not None:
            for score in following(table, predictions, metrics or list(_metrics(run))):
                rows |= {f"{score.metric}: Kendall's tau-b": _row(score.kendall)}
                rows |= {f"{score.metric}: Spearman's rho": _row(score.spearman)}
            rows |= {"least rho shown 4 times in 5": least_spearman(groups)}
        facts[table.axis] = rows
    marks = error_marks(ratings, {one.id: group_of(one) for one in predictions})
    for mark in marks:
        row = {f"{mark.error}: marked": mark.marked, f"{mark.error}: of answers": mark.answers}
        facts.setdefault("errors", {}).update(
            row | {f"{mark.error}: agreement (AC1)": _row(mark.agreement)}
        )
    return facts


def _metrics(run: Any) -> Any:
    return run.recipe().evaluation.metrics


def _row(one: "Agreement") -> dict[str, float]:
    return {"value": one.value, "low": one.low, "high": one.high}


def _words(one: Any) -> Any:
    """A figure with its interval as words; NaN is not measured."""
    if isinstance(one, dict):
        if isnan(one["value"]):
            return "not measured"
        return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
    return "not measured" if isinstance(one, float) and isnan(one) else one
