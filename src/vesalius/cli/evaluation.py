"""evaluate, compare and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vesalius.cases.prediction import Prediction

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
FIELDS = "category,modality,kind,dataset"


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
    histories: Annotated[
        bool, typer.Option(help="Dialogues: compare no, own and gold history instead.")
    ] = False,
) -> None:
    """Evaluate: score a run's predictions, with protocols and intervals; writes its scores.json."""
    from rich.console import Console

    from vesalius.cli.scores import print_scores
    from vesalius.evaluation.evaluate import evaluate as step
    from vesalius.evaluation.evaluate import evaluate_run, save_scores
    from vesalius.evaluation.prediction_sets import prediction_sets
    from vesalius.run import Run, read_predictions
    from vesalius.system.files import write_json

    console = Console()
    metrics = _specs(metric)
    chosen: dict[str, Any] = {"by": _fields(by)}
    if resamples is not None:
        chosen["resamples"] = resamples
    if histories:
        from vesalius.cli.histories import show

        show(console, Run.open(target), metrics, resamples, save)
        return
    if target.is_dir():
        run = Run.open(target)
        sets = prediction_sets(run)
        for name in sets:
            scores = evaluate_run(run, name, metrics=metrics, **chosen)
            save_scores(run, scores, name)
            print_scores(console, scores, f"{run.name} {name}".strip())
            if save is not None and name == sets[0]:
                write_json(save, scores.to_json())
        return
    scores = step(list(read_predictions(target)), metrics or ("squad", "closed"), **chosen)
    if save is not None:
        write_json(save, scores.to_json())
    print_scores(console, scores, target.name)


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

    from vesalius.cli.scores import print_differences
    from vesalius.evaluation.compare import compare as step
    from vesalius.system.files import write_json

    recipe = _recipe_evaluation(second)
    comparison = step(
        _predictions(first),
        _predictions(second),
        _specs(metric) or recipe.metrics,
        resamples=recipe.resamples if resamples is None else resamples,
        level=recipe.level,
        seed=recipe.seed,
        by=_fields(by),
    )
    if save is not None:
        write_json(save, comparison.to_json())
    print_differences(Console(), comparison, f"{second.name} against {first.name}")


def report(
    runs: Annotated[list[Path], typer.Argument(help="The run, then the baselines beside it.")],
    out: Annotated[Path | None, typer.Option(help="Default: report.html in the run.")] = None,
    pictures: Annotated[bool, typer.Option(help="Embed thumbnails of the cases shown.")] = True,
) -> None:
    """Report: one self-contained HTML page on a run and its baselines."""
    from vesalius.evaluation.report import report as step
    from vesalius.run import Run
    from vesalius.steps.predict import pictures_of

    loaded = [Run.open(path) for path in runs]
    page = out or loaded[0].path / "report.html"
    step(loaded, page, pictures_of(loaded[0]) if pictures else _no_picture)
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
    from vesalius.overrides import pair

    name, _, options = text.partition(":")
    return {name: dict(pair(one, "--metric") for one in options.split(","))} if options else name


def _predictions(path: Path) -> list[Prediction]:
    from vesalius.run import Run, read_predictions

    return list(Run.open(path).predictions() if path.is_dir() else read_predictions(path))


def _recipe_evaluation(path: Path) -> Any:
    from vesalius.recipe import Evaluation
    from vesalius.run import Run

    return Run.open(path).recipe().evaluation if path.is_dir() else Evaluation()
