"""fit, predict and ask."""

import json
import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vesalius.cli.panels import ADAPT, EVALUATE, SERVE
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, Workers, sharing

if TYPE_CHECKING:
    from vesalius.cases.prediction import Prediction

Sets = Annotated[
    list[str] | None, typer.Option("--set", help="Override a recipe key, e.g. --set seed=1.")
]
DTYPES = ("fp32", "bf16", "fp16")
RunFolder = Annotated[Path, typer.Option("--run", help="The run's folder.")]


def register(app: typer.Typer) -> None:
    """Add the commands that touch models."""
    app.command(rich_help_panel=ADAPT)(fit)
    app.command(rich_help_panel=ADAPT)(export)
    app.command(rich_help_panel=EVALUATE)(predict)
    app.command(rich_help_panel=EVALUATE)(calibrate)
    app.command(rich_help_panel=SERVE)(ask)


def fit(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML); see recipes/.")],
    run: Annotated[Path | None, typer.Option(help="Default: runs/NAME.")] = None,
    overrides: Sets = None,
    dry_run: Annotated[
        bool, typer.Option(help="Say what it would do and cost; write nothing.")
    ] = False,
    show_mask: Annotated[
        bool, typer.Option(help="Show which tokens of the first row bear loss.")
    ] = False,
    small: Annotated[
        bool,
        typer.Option("--tiny", help="Random weights at toy size and drawn data: offline, quick."),
    ] = False,
    report_to: Annotated[
        list[str] | None,
        typer.Option(help="Show the curve in tensorboard, wandb, trackio or mlflow; repeatable."),
    ] = None,
) -> None:
    """Fit the model of a recipe. A killed fit goes on with the same command."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table, mask_text, next_line
    from vesalius.recipe import load_recipe
    from vesalius.steps import fit as step
    from vesalius.steps.plan import mask, plan

    console = Console()
    trackers = [f"report_to={json.dumps(report_to)}"] if report_to else []
    loaded = load_recipe(recipe, [*(overrides or ()), *trackers])
    if small:
        from vesalius.steps.tiny import tiny

        loaded = tiny(loaded)
    if show_mask:
        console.print(mask_text(mask(loaded)))
        return
    if dry_run:
        console.print(facts_table(f"{loaded.name}: what a fit would do", plan(loaded)))
        return
    fitted = step.fit(loaded, run or Path("runs") / loaded.name)
    console.print(facts_table(f"{loaded.name} is fitted", fitted.status()))
    console.print(next_line("vesalius predict --run", fitted.path), soft_wrap=True)


def predict(
    run: RunFolder,
    split: Annotated[str | None, typer.Option(help="Default: the recipe's test split.")] = None,
    name: Annotated[str, typer.Option(help="Name of this set of predictions.")] = "",
    change: Annotated[
        str | None,
        typer.Option(help="Change pictures or words: blank, mirrored, reworded ... as in probe."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many dialogues.")] = None,
    history: Annotated[
        str | None,
        typer.Option(help="Ask every turn of a dialogue after: none, own (answers) or gold."),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            help="Retrieve other neighbours: unguarded (of the same patient, too), swapped."
        ),
    ] = None,
    stage: Annotated[
        str | None, typer.Option(help="Ask the model that this earlier stage left.")
    ] = None,
    quantization: Annotated[
        str | None, typer.Option(help="nf4 or none, in the place of what the recipe says.")
    ] = None,
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Answer a split with a fitted run. A killed prediction goes on with the same command."""
    from rich.console import Console

    from vesalius.cli.plain import next_line
    from vesalius.run import Run
    from vesalius.steps.controls import control_set, load_under
    from vesalius.steps.predict import predict as step
    from vesalius.steps.request import set_name

    fitted, console = Run.open(run), Console()
    shared = sharing(worker, merge, shards, engine, workers)
    asked_of, model = " ".join(mark for mark in (stage, quantization, control) if mark), None
    if asked_of:
        own = control_set(control) if control else None
        marks = (stage, quantization, set_name(history, change), own)
        name = name or "-".join(mark for mark in marks if mark)
        model = partial(load_under, fitted, control, stage=stage, quantization=quantization)
    if shared:
        from vesalius.steps.sharing import shared_split

        how = (change, history, limit, asked_of)
        options: dict[str, Any] = {"name": name, "at": shards, "model": model}
        count = shared.job(partial(shared_split, run, split, *how, **options)).merge()
    else:
        count = step(
            fitted,
            split=split,
            name=name,
            change=change,
            limit=limit,
            history=history,
            model=model() if model else None,
            asked_of=asked_of,
        )
    name = name or set_name(history, change)
    file, counts = fitted.predictions_file(name), fitted.counts(name)
    after = "vesalius evaluate" + (" --histories" if history else "")
    console.print(f"{count} answers in {file}", markup=False, soft_wrap=True)
    if counts:  # shots, neighbours, what a writer did that it should not, boxes not read
        console.print(", ".join(f"{key} {value}" for key, value in counts.items()))
    console.print(next_line(after, run), soft_wrap=True)


def calibrate(run: RunFolder) -> None:
    """Measure on the validation split what a run's confidence is worth, for those who serve it."""
    from rich.console import Console

    from vesalius.cli.plain import facts_table
    from vesalius.run import Run
    from vesalius.steps.calibrate import FILE, facts
    from vesalius.steps.calibrate import calibrate as step

    fitted, console = Run.open(run), Console()
    console.print(facts_table(f"{fitted.name} is calibrated", facts(step(fitted))))
    console.print(f"wrote {fitted.path / FILE}, which vesalius serve reads", soft_wrap=True)


def ask(
    image: Annotated[Path, typer.Argument(help="A picture: PNG, JPEG, WebP, TIFF, BMP or DICOM.")],
    run: RunFolder,
    question: Annotated[
        str | None,
        typer.Argument(help="What to ask about it; default: a caption, in the run's own words."),
    ] = None,
    frame: Annotated[
        int | None, typer.Option(min=0, help="Of several, from 0; default: a DICOM's middle one.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(help="A DICOM's CENTRE,WIDTH; default: the file's own.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Also write the answer about a DICOM picture as a DICOM SR file."),
    ] = None,
) -> None:
    """Ask a fitted run one question about one picture."""
    from rich.console import Console

    from vesalius.run import Run
    from vesalius.steps.predict import ask as step

    fitted = Run.open(run)
    if report is not None:
        _refuse_report(report, image)
    answer = step(fitted, image, question, frame=frame, window=_window(window))
    answer = answer.at_operating_point()
    console = Console()
    for line in lines_of(answer):
        console.print(line, style="bold", highlight=False, markup=False)
    if answer.confidence:
        console.print(
            f"confidence {answer.confidence.value:.2f} ({answer.confidence.method})", style="dim"
        )
    if report is not None:
        from vesalius.steps.structured_report import algorithm_of, write_report

        write_report(report, answer, image.read_bytes(), algorithm_of(fitted), frame=frame)
        console.print(f"wrote {report}, which names the patient", highlight=False, soft_wrap=True)
    console.print("Research use only; not a medical device.", style="dim")


def lines_of(prediction: "Prediction") -> list[str]:
    """An answer as lines: its text, its boxes, its concepts."""
    answer = prediction.answer
    lines = ["(no answer: the model abstained)"] if prediction.abstained else []
    lines += [answer.text] if answer.text else []
    lines += [
        f"{box.label}{'' if box.score is None else f' {box.score:.2f}'}: left {box.x:.0f},"
        f" top {box.y:.0f}, width {box.width:.0f}, height {box.height:.0f} pixels"
        for box in answer.boxes or ()
    ]
    lines += [", ".join(answer.concepts)] if answer.concepts else []
    if not lines and answer.boxes is not None:
        return ["(nothing is marked)"]
    return lines or ["(no answer)"]


def _window(text: str | None) -> tuple[float, float] | None:
    """(centre, width) of ``CENTRE,WIDTH``."""
    if text is None:
        return None
    from vesalius.errors import ImageError

    try:
        centre, width = map(float, text.split(","))
    except ValueError:
        centre = width = math.nan
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        hint = "for example --window 40,400"
        raise ImageError("image_window", "a window is CENTRE,WIDTH, and wider than 0", hint=hint)
    return centre, width


def _refuse_report(report: Path, image: Path) -> None:
    """Say so before a model is loaded where no report can be written."""
    from vesalius.cases.picture import Picture
    from vesalius.steps.structured_report import refuse_report

    refuse_report(report, Picture.from_file(image).read())


def export(
    run: Annotated[Path, typer.Argument(help="A fitted run's folder.")],
    out: Annotated[Path | None, typer.Option(help="A new folder; default RUN/export.")] = None,
    merge: Annotated[
        bool, typer.Option("--merge/--adapter", help="Merged weights, or the adapter alone.")
    ] = True,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 or fp16: what is saved.")] = "fp32",
    check: Annotated[int, typer.Option(min=1, help="Held-out items to compare answers on.")] = 16,
    four_bit: Annotated[
        bool, typer.Option("--4bit", help="Also load them in NF4 and count equal answers.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="The hub's licence id for the card.")] = None,
    engine: Annotated[
        str | None, typer.Option("--for", help="vllm: also what it needs, and how it is started.")
    ] = None,
    push: Annotated[str | None, typer.Option(help="Upload to this hub repository.")] = None,
    public: Annotated[bool, typer.Option(help="Make a new repository public.")] = False,
) -> None:
    """Write the weights for others to load: merged, verified, with a model card."""
    from rich.console import Console

    from vesalius.errors import UnknownName
    from vesalius.run import Run
    from vesalius.steps import export as step

    console = Console()
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    if engine not in (None, "vllm"):
        raise UnknownName("engine", engine, ("vllm",))
    done = step.export(
        Run.open(run),
        out or run / "export",
        merge=merge,
        dtype=cast("Any", dtype),
        check=check,
        four_bit=four_bit,
        licence=licence,
        engine=cast("Any", engine),
    )
    console.print(f"{done.summary}\nwrote {done.folder}", highlight=False)
    if done.command:
        console.print(f"serve: {done.command}", markup=False, highlight=False, soft_wrap=True)
    if push:
        console.print(f"uploaded to {step.push(done.folder, push, private=not public)}")
