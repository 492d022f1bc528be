"""evaluate, compare and report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import EVALUATE

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.evaluation.score import Evaluation
    from vesalius.run import Run

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        "-m",
        help="A metric, with parameters after a colon: rouge:stemmed=true. Default: the recipe's.",
    ),
]
Resamples = Annotated[int | None, typer.Option(min=0, help="Bootstrap resamples; 0: none.")]
Interval = Annotated[
    str | None,
    typer.Option(help="Of scores: percentile, bca or exact. Default: the recipe's, percentile."),
]
Clean = Annotated[
    str | None,
    typer.Option(help="Runs without pictures, comma-separated: score what none answers, too."),
]
By = Annotated[str, typer.Option(help="Slices, comma-separated; empty for none.")]
FIELDS = "category,modality,kind,dataset"


def register(app: typer.Typer) -> None:
    """Add the commands that score predictions."""
    for command in (evaluate, compare, report):
        app.command(rich_help_panel=EVALUATE)(command)


def evaluate(
    target: Annotated[Path, typer.Argument(help="A run, or a JSON-lines file of predictions.")],
    metric: Metrics = None,
    resamples: Resamples = None,
    interval: Interval = None,
    by: By = FIELDS,
    save: Annotated[Path | None, typer.Option(help="Also write the scores here (JSON).")] = None,
    histories: Annotated[
        bool, typer.Option(help="Dialogues: compare no, own and gold history instead.")
    ] = False,
    without: Annotated[
        Path | None,
        typer.Option(help="A run or file without neighbours: what they help and harm."),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Protocols side by side: strict,squad_v2,llava_med_v1,tolerant@0.3."),
    ] = None,
    clean: Clean = None,
    questions: Annotated[
        str | None,
        typer.Option(
            help="Of a file: a run, recipe or data set of whose test questions it is, to name the "
            "ids that are missing or invented."
        ),
    ] = None,
) -> None:
    """Score a run's predictions, with protocols and intervals; writes its scores.json."""
    from rich.console import Console

    from vesalius.cli.gain import print_gain
    from vesalius.cli.long_tail import print_long_tail
    from vesalius.cli.scores import print_clean, print_scores
    from vesalius.evaluation.prediction_sets import prediction_sets
    from vesalius.run import Run
    from vesalius.steps.evaluate import evaluate as step
    from vesalius.steps.evaluate import with_coverage
    from vesalius.system.files import write_json

    console = Console()
    beside: dict[str, object] = {"--without": without, "--clean": clean, "--interval": interval}
    if protocol is not None:
        from vesalius.cli.protocols import show as show_protocols

        sliced = by if by != FIELDS else None
        beside |= {"--metric": metric, "--histories": histories or None, "--by": sliced}
        _refuse_beside("--protocol", beside)
        show_protocols(console, target, protocol.split(","), resamples, save, questions)
        return
    metrics = metric_specs(metric)
    options: dict[str, Any] = {"metrics": metrics, "resamples": resamples, "by": _fields(by)}
    options["interval"] = _interval(interval)
    beside["--questions"] = questions
    if histories:
        from vesalius.cli.histories import show

        _refuse_beside("--histories", beside)
        show(console, Run.open(target), metrics, resamples, save)
        return
    run = Run.open(target) if target.is_dir() else None
    first = None
    probed = _probed(run)
    names = [None] if run is None else [n for n in prediction_sets(run) if n not in probed]
    for place, name in enumerate(names):
        own: dict[str, Any] = {"without": without, "clean": _places(clean)} if place == 0 else {}
        scores = step(run or target, name, **own, **options)
        if questions is not None:
            scores = with_coverage(scores, target, questions)
        title = target.name if run is None else f"{run.name} {name}".strip()
        print_scores(console, scores, title)
        print_clean(console, scores)
        first = scores if place == 0 else first
        if run is not None:
            print_long_tail(console, run, name or "")
        if save is not None and place == 0:
            write_json(save, scores.to_json())
    print_gain(console, first)
    if first is not None:
        _print_remarks(console, run, first)
    if probed:
        under_change = ", ".join(sorted(probed))
        console.print(f"\nnot scored here, as probes tell of them: {under_change}", style="dim")


def _print_remarks(console: "Console", run: "Run | None", scores: "Evaluation") -> None:
    """What a reader must be told of the answers that were scored, and of the data."""
    from vesalius.evaluation.caveats import of_answers, of_audit
    from vesalius.evaluation.coverage import remarks

    status = {} if run is None else run.status()
    n = scores.facts.get("predictions", 0)
    sentences = of_answers(status, n, scores.predictions_sha256)
    for sentence in [*sentences, *remarks(scores.coverage)]:
        console.print(sentence, style="yellow", markup=False, highlight=False)
    if run is not None:
        console.print(of_audit(status), style="dim", markup=False, highlight=False)


def _probed(run: "Run | None") -> set[str]:
    """The sets that a run's probes tell of."""
    from vesalius.evaluation.probe_results import probes_of

    probes = None if run is None else probes_of(run)
    return set() if probes is None else {probes.sets[row.name] for row in probes.measured}


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Two runs or JSON-lines files (--table, --page: more), baseline first."
        ),
    ],
    metric: Metrics = None,
    resamples: Resamples = None,
    by: By = FIELDS,
    save: Annotated[Path | None, typer.Option(help="Write the comparison here (JSON).")] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Two runs or more, a row each, side by side.")
    ] = False,
    baseline: Annotated[
        str | None, typer.Option(help="With --table: the row to test against; default: the first.")
    ] = None,
    members: Annotated[
        bool,
        typer.Option("--members", help="With --table: rows for members and their consensus, too."),
    ] = False,
    out: Annotated[
        list[Path] | None, typer.Option(help="With --table: write it as .md, .csv or .json.")
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(help="Two runs or more: write a page (.html) on scores, costs and boxes."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="With --page: read the pictures, for boards and quadrants.")
    ] = True,
    clean: Clean = None,
) -> None:
    """Compare runs on the same questions: paired differences, intervals and p-values."""
    options: dict[str, Any] = {"metrics": metric_specs(metric), "resamples": resamples}
    page_alone = page is not None and len(runs) > 2
    if not table:
        _require_no_table(baseline or members or out, page_alone and save)
    if not (table or page_alone):
        _require_two(runs)
    else:
        _refuse_clean(clean, "--clean belongs to a comparison of two")
    if page is not None:
        from vesalius.steps.comparison_page import comparison_page

        typer.echo(f"page: {comparison_page(*runs, out=page, pictures=pictures, **options)}")
    if table:
        files = [*(out or ()), *([save] if save else ())]
        _print_table(runs, files, by, baseline=baseline, members=members, **options)
    elif not page_alone:
        first, second = runs
        _print_comparison(first, second, by, save, options | {"clean": _places(clean)})


def _print_table(runs: list[Path], files: list[Path], by: str, **options: Any) -> None:
    from rich.console import Console

    from vesalius.cli.table import show
    from vesalius.errors import RunError

    if by not in (FIELDS, ""):
        raise RunError("a table has no slices", hint="leave --by out, or --table")
    show(Console(), runs, files, **options)


def _print_comparison(
    first: Path, second: Path, by: str, save: Path | None, options: dict[str, Any]
) -> None:
    from rich.console import Console

    from vesalius.cli.scores import print_differences
    from vesalius.steps.evaluate import compare as step
    from vesalius.system.files import write_json

    comparison = step(first, second, by=_fields(by), **options)
    if save is not None:
        write_json(save, comparison.to_json())
    print_differences(Console(), comparison, f"{second.name} against {first.name}")


def report(
    runs: Annotated[list[Path], typer.Argument(help="The run, then the baselines beside it.")],
    out: Annotated[Path | None, typer.Option(help="Default: report.html in the run.")] = None,
    pictures: Annotated[bool, typer.Option(help="Embed thumbnails of the cases shown.")] = True,
    checklists: Annotated[
        Path | None,
        typer.Option(help="Also fill in CLAIM and TRIPOD-LLM here (.md, .json), to be completed."),
    ] = None,
) -> None:
    """Write one self-contained HTML page on a run and its baselines."""
    from vesalius.run import Run
    from vesalius.steps.report import report as step

    page = step(*[Run.open(path) for path in runs], out=out, pictures=pictures)
    typer.echo(f"report: {page}")
    if checklists is not None:
        from vesalius.steps.checklist import checklists as fill_in

        for path in fill_in(Run.open(runs[0]), checklists):
            typer.echo(f"checklist: {path}")


def _places(text: str | None) -> list[Path]:
    """Folders and files that stand comma-separated; RunError where none does."""
    from vesalius.errors import RunError

    places = [Path(part.strip()) for part in (text or "").split(",") if part.strip()]
    if text is not None and not places:
        raise RunError("--clean names no run", hint="for example --clean runs/majority,runs/text")
    return places


def _refuse_clean(clean: str | None, what: str) -> None:
    """RunError where a clean subset is asked for that would be read and ignored."""
    from vesalius.errors import RunError

    if clean is not None:
        raise RunError(what, hint="leave --clean out")


def _refuse_beside(main: str, others: Mapping[str, object]) -> None:
    """RunError for options that another one would make read and ignored."""
    from vesalius.errors import RunError

    given = [name for name, value in others.items() if value is not None]
    if given:
        what = f"{main} and {', '.join(given)} are two questions"
        raise RunError(what, hint="leave one out")


def _require_two(runs: Sequence[Path]) -> None:
    """RunError where a comparison of two is asked for otherwise."""
    from vesalius.errors import RunError

    if len(runs) != 2:
        what = f"two runs are compared, not {len(runs)}"
        raise RunError(what, hint="--table puts several side by side, --page on one page")


def _require_no_table(of_table: object, saved: object) -> None:
    """RunError for options that would be read and ignored without --table."""
    from vesalius.errors import RunError

    if of_table:
        raise RunError("--baseline, --members and --out belong to --table", hint="add --table")
    if saved:
        raise RunError("--save keeps a comparison of two runs or a table", hint="add --table")


def _interval(name: str | None) -> Any:
    from typing import get_args

    from vesalius.errors import UnknownName
    from vesalius.evaluation.score import IntervalMethod

    if name is not None and name not in get_args(IntervalMethod):
        raise UnknownName("interval", name, get_args(IntervalMethod), where="--interval")
    return name


def _fields(by: str) -> tuple[str, ...]:
    from vesalius.errors import UnknownName

    chosen = tuple(field.strip() for field in by.split(",") if field.strip())
    known = (*FIELDS.split(","), "language")
    for field in chosen:
        if field not in known:
            raise UnknownName("slice", field, known, where="--by")
    return chosen


def metric_specs(texts: Sequence[str] | None) -> list[Any]:
    """Metrics as they are named on the command line: ``rouge:stemmed=true``."""
    return [_spec(text) for text in texts or ()]


def _spec(text: str) -> str | dict[str, dict[str, Any]]:
    """``rouge:stemmed=true,x=1`` as a name with parameters; values are YAML."""
    from vesalius.settings import pair

    name, _, options = text.partition(":")
    return {name: dict(pair(one, "--metric") for one in options.split(","))} if options else name
