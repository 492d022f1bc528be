"""judge: a model's grades of a run's answers, and what experts say of the judge."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import EVALUATE

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.judging.results import JudgeResults


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=EVALUATE)(judge)


def judge(
    run: Annotated[Path, typer.Argument(help="The run whose answers are judged.")],
    by: Annotated[
        str, typer.Option(help="The judge: a run's folder, a recipe, or an OpenAI-compatible URL.")
    ],
    rubric: Annotated[
        str,
        typer.Option(help="correctness, review, error_tags, severity, or a file (.yaml)."),
    ] = "correctness",
    against: Annotated[
        Path | None,
        typer.Option(help="Another run: which answer is better, asked in both orders."),
    ] = None,
    experts: Annotated[
        Path | None,
        typer.Option(help="Experts' ratings (.jsonl, .csv) to check and calibrate the judge by."),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Show the judge the pictures, if it sees.")] = True,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Judge so many answers: a fixed random sample.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of these judgements; default judge-rubric.")] = "",
    model: Annotated[
        str | None, typer.Option(help="Of a URL: the model's name there; default its first.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Of a URL: the environment variable with the key.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Of a URL: it may be another machine.")
    ] = False,
) -> None:
    """Have a model grade a run's answers. A killed judging goes on with the same command."""
    from rich.console import Console

    from vesalius.evaluation.judging.results import check_against_experts, results
    from vesalius.evaluation.rating_files import read_ratings
    from vesalius.run import Run
    from vesalius.steps.judge import judge as step
    from vesalius.steps.judges import Server, judge_of

    judged, console = Run.open(run), Console()
    ratings = None if experts is None else read_ratings(experts)
    other = None if against is None else Run.open(against)
    server = Server(model, key_env, remote)
    with_model = judge_of(by, judged, server, pictures=pictures)
    done = step(judged, with_model, rubric, name=name, limit=limit, against=other)
    predictions = list(judged.predictions())
    if ratings is not None:
        check_against_experts(done, predictions, ratings)
    print_judge(console, results(done, predictions))
    console.print(f"judgements: {done.file}", markup=False, highlight=False, soft_wrap=True)


def print_judge(console: "Console", judged: "JudgeResults") -> None:
    """A judge's warnings, what experts say of it, and then its scores."""
    from rich.markup import escape

    from vesalius.cli.plain import facts_table

    for warning in judged.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)
    for row in judged.checked:
        console.print(row.sentence(), markup=False, highlight=False, soft_wrap=True)
    facts: dict[str, Any] = {
        f"{score.name}{f' ({score.scale})' if score.scale else ''}": (
            f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}], n = {score.n}"
            if score.n
            else "not measured"
        )
        for score in judged.scores
    }
    facts |= {f"error {tag}": count for tag, count in judged.errors.items()}
    console.print(facts_table(f"{judged.name}: {judged.n} judged, {judged.subject}", facts))
