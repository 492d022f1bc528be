"""evaluate, compare and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from vesalius.cases.prediction import Prediction
    from vesalius.evaluation.compare import Comparison
    from vesalius.evaluation.score import Evaluation

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        help="A metric, with parameters after a colon: rouge:stemmed=true. Default: the recipe's.",
    ),
]
Resamples = Annotated[int | None, typer.Option(min=0, help="Bootstrap resamples; 0: none.")]
By = Annotated[str, typer.Option(help="Slices, comma-separated; empty for none.")]
FIELDS = "category,modality,kind"


def register(app: typer.Typer) -> None:
    """Add the commands that score predictions."""
    app.command()(evaluate)
    app.command()(compare)
    app.command()(report)


def evaluate(
    target: Annotated[Path, typer.Argument(help="A run, or a JSON-lines file of predictions.")],
    metric: Metrics = None,
    resamples: Resamples = None,
    by: By = FIELDS,
    save: Annotated[Path | None, typer.Option(help="Also write the scores here (JSON).")] = None,
) -> None:
    """Evaluate: score a run's predictions, with protocols and intervals; writes its scores.json."""
    from rich.console import Console

    from vesalius.evaluation.evaluate import evaluate as step
    from vesalius.evaluation.evaluate import evaluate_run, prediction_sets
    from vesalius.files import write_json
    from vesalius.run import Run, read_predictions

    console = Console()
    metrics = _specs(metric)
    chosen: dict[str, Any] = {"by": _fields(by)}
    if resamples is not None:
        chosen["resamples"] = resamples
    if target.is_dir():
        run = Run.open(target)
        for name in prediction_sets(run):
            found = evaluate_run(run, name, metrics=metrics, **chosen)
            write_json(run.scores_file(name), found.to_json())
            _print_scores(console, found, f"{run.name} {name}".strip())
            if save is not None and not name:
                write_json(save, found.to_json())
        return
    found = step(list(read_predictions(target)), metrics or ("squad", "closed"), **chosen)
    if save is not None:
        write_json(save, found.to_json())
    _print_scores(console, found, target.name)


def compare(
    first: Annotated[Path, typer.Argument(help="A run or a JSON-lines file: the baseline.")],
    second: Annotated[Path, typer.Argument(help="A run or a JSON-lines file on the same data.")],
    metric: Metrics = None,
    resamples: Resamples = None,
    by: By = FIELDS,
    save: Annotated[Path | None, typer.Option(help="Write the comparison here (JSON).")] = None,
) -> None:
    """Compare two runs on the same questions: paired differences, intervals and p-values."""
    from rich.console import Console

    from vesalius.evaluation.compare import compare as step
    from vesalius.files import write_json

    recipe = _recipe_evaluation(second)
    found = step(
        _predictions(first),
        _predictions(second),
        _specs(metric) or recipe.metrics,
        resamples=recipe.resamples if resamples is None else resamples,
        level=recipe.level,
        seed=recipe.seed,
        by=_fields(by),
    )
    if save is not None:
        write_json(save, found.to_json())
    _print_differences(Console(), found, f"{second.name} against {first.name}")


def report(
    runs: Annotated[list[Path], typer.Argument(help="The run, then the baselines beside it.")],
    out: Annotated[Path | None, typer.Option(help="Default: report.html in the run.")] = None,
    pictures: Annotated[bool, typer.Option(help="Embed thumbnails of the cases shown.")] = True,
) -> None:
    """Report: one self-contained HTML page on a run and its baselines."""
    from vesalius.evaluation.report import report as step
    from vesalius.predict import pictures_of
    from vesalius.run import Run

    found = [Run.open(path) for path in runs]
    page = out or found[0].path / "report.html"
    step(found, page, pictures_of(found[0]) if pictures else _no_picture)
    typer.echo(f"report: {page}")


def _no_picture(key: str) -> bytes | None:  # noqa: ARG001
    return None


def _fields(by: str) -> tuple[str, ...]:
    from vesalius.errors import UnknownName

    chosen = tuple(field.strip() for field in by.split(",") if field.strip())
    known = (*FIELDS.split(","), "language")
    for field in chosen:
        if field not in known:
            raise UnknownName("slice", field, known, where="--by")
    return chosen


def _specs(texts: Sequence[str] | None) -> list[Any]:
    return [_spec(text) for text in texts or ()]


def _spec(text: str) -> str | dict[str, dict[str, Any]]:
    """``rouge:stemmed=true,x=1`` as a name with parameters; values are YAML."""
    import yaml

    from vesalius.errors import RecipeError

    name, _, said = text.partition(":")
    if not said:
        return name
    pairs = [pair.partition("=") for pair in said.split(",")]
    if not all(key and equals for key, equals, _ in pairs):
        raise RecipeError(f"not of the form name:key=value: {text!r}", where="--metric")
    return {name: {key.strip(): yaml.safe_load(value) for key, _, value in pairs}}


def _predictions(path: Path) -> list[Prediction]:
    from vesalius.run import Run, read_predictions

    return list(Run.open(path).predictions() if path.is_dir() else read_predictions(path))


def _recipe_evaluation(path: Path) -> Any:
    from vesalius.recipe import Evaluation
    from vesalius.run import Run

    return Run.open(path).recipe().evaluation if path.is_dir() else Evaluation()


def _print_scores(console: Any, found: Evaluation, title: str) -> None:
    table = _table(f"{title}: {_said(found.facts)}", "score", "value", "n", "protocol")
    for score in found.overall():
        protocol = found.protocols[score.protocol]
        how = f"{protocol['implementation']} {protocol['version']}".strip()
        table.add_row(score.metric, str(score), str(score.n), how)
    console.print(table)
    _print_slices(console, found)
    share = f"{found.level:.0%} intervals: {found.resamples} resamples of whole groups"
    console.print(f"{share}, seed {found.seed}", style="dim")


def _print_slices(console: Any, found: Evaluation) -> None:
    """Slices down, the first few scores for which more is better across; the file has them all."""
    good = [
        s for s in found.overall() if found.better(s) == "higher" and s.protocol != "calibration"
    ]
    names = [score.metric for score in good][:4]
    values = {(s.slice, s.metric): s for s in found.scores if s.slice != "all"}
    slices = list(dict.fromkeys(part for part, _ in values))
    if not slices or not names:
        return
    table = _table("", "slice", *names, f"n of {names[0]}")
    for part in slices:
        row = [values.get((part, name)) for name in names]
        count = "" if row[0] is None else str(row[0].n)
        table.add_row(part, *("" if s is None else str(s) for s in row), count)
    console.print(table)


def _said(facts: Any) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in facts.items() if count)


def _print_differences(console: Any, found: Comparison, title: str) -> None:
    said = f"{found.shared} shared predictions, {found.answers_differ} answers differ"
    apart = found.only_first + found.only_second
    said += f", {apart} in one run only" if apart else ""
    columns = ("slice", "score", "first", "second", "difference", "p", "p (Holm)", "n")
    table = _table(f"{title}: {said}", *columns)
    for d in found.differences:
        numbers = [f"{value:.3f}" for value in (d.first, d.second)]
        p_values = ["" if p != p else f"{p:.4f}" for p in (d.p, d.p_holm)]  # noqa: PLR0124  # NaN
        table.add_row(d.slice, d.metric, *numbers, str(d), *p_values, str(d.n))
    console.print(table)
    console.print(
        "difference: second minus first; p: paired approximate randomisation of whole groups",
        style="dim",
    )


def _table(title: str, *columns: str) -> Table:
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        number = column in {"n", "groups", "first", "second", "p", "p (Holm)"}
        table.add_column(
            column, justify="right" if number else "left", style="bold" if i == 0 else ""
        )
    return table
