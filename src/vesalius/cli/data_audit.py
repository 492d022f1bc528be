"""``vesalius data audit``: leaks on the terminal, or the whole audit as a page and a verdict."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.data_labels import audit_labels, detectors
from vesalius.cli.data_options import (
    Hub,
    Name,
    Options,
    Root,
    SplitFile,
    opened,
    pairs,
    sample_size,
)
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, Workers, inspections, sharing

if TYPE_CHECKING:
    from rich.console import Console

    from vesalius.data.audit import Audit
    from vesalius.data.datasets import Dataset
    from vesalius.data.shared_inspection import Inspections
    from vesalius.data.survey.verdict import Verdict

COLOURS = {"fault": "red", "doubtful": "yellow", "sound": "green", "not measured": "dim"}


def audit(
    name: Name,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
    allow_leaks: Annotated[bool, typer.Option(help="Report, but do not fail.")] = False,
    limit: Annotated[int, typer.Option(help="Print at most so many pairs.")] = 20,
    html: Annotated[
        Path | None,
        typer.Option(
            help="Make every check; write a page here, and the verdict beside it (.json)."
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option(help="With --html: embed small pictures.")] = True,
    text_sample: Annotated[
        str, typer.Option(help="With --html: look for text in so many pictures, or all.")
    ] = "60",
    seed: Annotated[int, typer.Option(help="With --html: of what is sampled.")] = 0,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="With --html: doubt answers by this frozen encoder's vectors (efficientnet_lite0, "
            "or a folder) instead of by small pictures."
        ),
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(
            help="Rank boxes that may be wrong by this run of a detector; again for each. A recipe "
            "(.yaml) is cross-fitted."
        ),
    ] = None,
    folds: Annotated[int, typer.Option(min=3, help="With a recipe in --labels: so many fits.")] = 5,
    out: Annotated[
        Path, typer.Option(help="With --labels: the sheet of these pictures, .html or .png.")
    ] = Path("labels.html"),
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Find patients, pictures and near-duplicates that two splits share; exit 2 on leaks.

    With --html make every check: also questions and answers that are known without the picture,
    contradictions, answers that may be wrong, text in pictures, classes by split. With --labels
    find boxes that detectors contradict instead, which never saw the pictures.
    """
    from rich.console import Console

    from vesalius.data.audit import leakage
    from vesalius.errors import RecipeError
    from vesalius.steps.verdicts import place_of, store_verdict

    shared = sharing(worker, merge, shards, engine, workers)
    opening = partial(opened, name, root, hub, options, split_file)
    dataset = opening()
    console = Console(soft_wrap=True)
    if labels:
        place = {
            "dataset": name,
            "root": None if root is None else root.as_posix(),
            "hub": True if hub == "card" else hub or False,
            "options": pairs(options or []),
        }
        audit_labels(dataset, detectors(labels, place, out, folds), out, limit)
        return
    rows = inspections(shared, opening)
    if html is None:
        if encoder is not None:
            raise RecipeError("--encoder is of the whole audit", hint="add --html PAGE")
        report = _leaks(console, dataset, limit, rows)
    else:
        title = root.name if name == "folder" and root is not None else name
        how: dict[str, Any] = {"text_sample": sample_size(text_sample), "seed": seed}
        how["encoder"] = encoder
        how |= {} if rows is None else {"inspect": rows.cases}
        verdict, report = _whole(dataset, title, html, pictures, how)
        store_verdict(verdict, place_of(name, root, hub))
        print_verdict(console, verdict)
        console.print(f"wrote {html} and {html.with_suffix('.json')}")
    if report.pairs and not allow_leaks:
        raise leakage(report)
    if html is None:
        console.print("no leaks found" if not report.pairs else f"leaks: {dict(report.counts)}")


def _leaks(
    console: "Console", dataset: "Dataset", limit: int, rows: "Inspections | None"
) -> "Audit":
    """What splits share, printed."""
    from rich.markup import escape

    from vesalius.cli.plain import print_findings
    from vesalius.data.audit import audit_members, read_members
    from vesalius.data.check import unread
    from vesalius.data.inspection import inspect_pictures

    look = inspect_pictures if rows is None else rows.pictures
    report = audit_members(read_members(dataset, look=look), allow_leaks=True)
    print_findings(console, unread(dataset))
    for pair in report.pairs[:limit]:
        console.print(f"[yellow]{pair.kind}[/yellow] {escape(str(pair))}")
    for part, cases in report.cases.items():
        console.print(f"{part}: {cases} cases")
    console.print(f"{report.groups} groups of cases that belong together")
    if report.unread:
        console.print(f"{len(report.unread)} cases have pictures that could not be compared")
    return report


def _whole(
    dataset: "Dataset", title: str, html: Path, pictures: bool, how: dict[str, Any]
) -> "tuple[Verdict, Audit]":
    """Every check, written as a page and as JSON; and what splits share."""
    from vesalius.data.audit import audit_members
    from vesalius.errors import RecipeError
    from vesalius.steps.audit import audit as step
    from vesalius.steps.audit_page import write_page
    from vesalius.system.files import write_json

    if html.suffix.lower() not in (".html", ".htm"):
        raise RecipeError(f"a page ends in .html, not {html.name!r}", where="--html")
    verdict, whole = step(dataset, title, **how)
    write_page(verdict, dataset, html, pictures=pictures)
    write_json(html.with_suffix(".json"), verdict.to_json())
    return verdict, audit_members(whole.members, whole.links, allow_leaks=True)


def print_verdict(console: "Console", verdict: "Verdict") -> None:
    """A line a check, the gravest first, and what they come to."""
    from rich.markup import escape

    from vesalius.data.survey.verdict import STATES

    for state in STATES:
        for one in verdict.of(state):
            mark = f"[{COLOURS[state]}]{state}[/{COLOURS[state]}]"
            console.print(f"{mark} {escape(one.rule.title)}: {escape(one.words)}", highlight=False)
    console.print(f"[bold]{escape(verdict.headline)}[/bold]", highlight=False)
