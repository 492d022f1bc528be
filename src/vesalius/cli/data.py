"""``vesalius data``: list, card, get, check, show, import, convert, export, split and audit."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from vesalius.cli.data_archive import pull, push
from vesalius.cli.data_audit import audit
from vesalius.cli.data_card import card
from vesalius.cli.data_cards import card_text, cards_table
from vesalius.cli.data_convert import convert
from vesalius.cli.data_embed import embed
from vesalius.cli.data_export import export
from vesalius.cli.data_options import (
    Fractions,
    Hub,
    Name,
    Options,
    Root,
    Seed,
    SplitFile,
    opened,
    pairs,
    sample_size,
    shares_of,
)
from vesalius.cli.panels import PREPARE
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, Workers, inspections, sharing

app = typer.Typer(
    no_args_is_help=True,
    help="Data sets: list, check, show, import, convert, export, split, audit and more.",
)

SAMPLE = "200"
SUMMARIES = ("template", "local-lm")
DEFAULT = "train=0.8,validation=0.1,test=0.1"


def register(parent: typer.Typer) -> None:
    """Add the group of commands."""
    parent.add_typer(app, name="data", rich_help_panel=PREPARE)


@app.command("list")
def list_(name: Annotated[str | None, typer.Argument(help="One set: its card.")] = None) -> None:
    """List the data sets, or show one's card and options."""
    from rich.console import Console

    Console().print(cards_table() if name is None else card_text(name))


app.command()(card)


@app.command()
def get(name: Name, hub: Hub = None, root: Root = None) -> None:
    """Download a set from the hub, or say where its publisher offers it."""
    from rich.console import Console

    from vesalius.data.cards import card as card_of
    from vesalius.data.open import new_root
    from vesalius.data.reading.hub import hub_download

    entry, target = card_of(name), new_root(name, root)
    repository = hub if hub not in (None, "card") else next(iter(entry.hub), None)
    console = Console()
    if repository is None:
        console.print(f"{entry.title}: get it from {entry.homepage}\nand unpack it into {target}")
        return
    console.print(f"Licence: {entry.licence}")
    console.print(f"{entry.title} is in {hub_download(repository, target)}")


@app.command()
def check(
    name: Name,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
    limit: Annotated[int, typer.Option(help="Print at most so many findings.")] = 50,
    text: Annotated[bool, typer.Option(help="Look for text burned into the pictures.")] = True,
    text_sample: Annotated[
        str, typer.Option(help="In so many different pictures, drawn by --seed; or all.")
    ] = SAMPLE,
    seed: Annotated[int, typer.Option(help="Of the sample that is searched for text.")] = 0,
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
    workers: Workers = None,
) -> None:
    """Look for bad pictures, burned-in and empty texts, duplicates; exit 1 on errors."""
    from importlib.util import find_spec

    from rich.console import Console
    from rich.markup import escape

    from vesalius.cli.plain import checked_line, counting, print_layout, text_line
    from vesalius.data.cards import card_or_none
    from vesalius.data.check import Summary
    from vesalius.data.check import check as step
    from vesalius.data.findings import code_of
    from vesalius.data.inspection import inspect_cases

    console, summary = Console(soft_wrap=True), Summary()
    sample = sample_size(text_sample)
    shared = sharing(worker, merge, shards, engine, workers)
    opening = partial(opened, name, root, hub, options, split_file)
    rows, dataset = inspections(shared, opening), opening()
    print_layout(console, dataset)
    if text and find_spec("rapidocr") is None:
        console.print("burned-in text is not looked for: pip install 'vesalius\\[ocr]'")
        text = False
    known = card_or_none(name)
    inspect = inspect_cases if rows is None else rows.cases
    how: dict[str, Any] = {"text": text, "sample": sample, "seed": seed}
    findings = step(dataset, card=known, summary=summary, inspect=inspect, **how)
    with counting(console, checked_line(summary)):
        for number, finding in enumerate(findings):
            if number < limit:
                colour = "red" if finding.level == "error" else "yellow"
                label = f"[{colour}]{finding.level} {finding.code}[/{colour}]"
                console.print(f"{label} {escape(finding.where)}: {escape(finding.what)}")
    for split, cases in summary.cases.items():
        console.print(f"{split}: {cases} cases, {summary.questions[split]} questions")
    for (level, code), count in sorted(summary.counts.items()):
        about = code_of(code)
        console.print(escape(f"{count} x {level} {code}: {about.meaning}; {about.mend}"))
    if text:
        console.print(text_line(summary))
    console.print(f"{summary.pictures} pictures, {summary.errors} errors")
    if summary.errors:
        raise typer.Exit(1)


@app.command()
def show(
    name: Name,
    out: Annotated[Path, typer.Option(help="Where to write: .html or .png.")] = Path("sheet.html"),
    split: Annotated[str | None, typer.Option(help="By default the first.")] = None,
    cases: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 12,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
) -> None:
    """Write a contact sheet of the first cases, with their words and boxes."""
    from rich.console import Console

    from vesalius.data.sheet import sheet_html, sheet_png
    from vesalius.system.files import write_atomic

    dataset = opened(name, root, hub, options, split_file)
    chosen = split or dataset.splits()[0]
    first = islice(dataset.cases(chosen), cases)
    page = out.suffix.lower() in (".html", ".htm")
    write_atomic(out, sheet_html(first, title=f"{name}, {chosen}") if page else sheet_png(first))
    Console().print(f"wrote {out}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="A table, or a folder of tables or images.")],
    target: Annotated[Path, typer.Argument(help="The new data set's folder.")],
    columns: Annotated[
        list[str] | None, typer.Option("--column", help="Our field=your column, e.g. image=path.")
    ] = None,
    images: Annotated[str | None, typer.Option(help="The folder paths are relative to.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of text that is not UTF-8, e.g. cp1252 or gb18030.")
    ] = None,
    fractions: Annotated[str | None, typer.Option(help=f"New splits, e.g. {DEFAULT}.")] = None,
    seed: Seed = 0,
    allow_errors: Annotated[bool, typer.Option(help="Leave faulty cases out.")] = False,
    allow_leaks: Annotated[bool, typer.Option(help="Keep splits that share pictures.")] = False,
    negatives: Annotated[
        bool, typer.Option(help="Pictures without a YOLO label file show nothing.")
    ] = False,
    mask_text: Annotated[bool, typer.Option(help="Black boxes over burned-in text.")] = False,
) -> None:
    """Read your own data, check it, split it by patient or picture, and write a new set."""
    from rich.console import Console

    from vesalius.cli.plain import print_findings, print_layout
    from vesalius.data.imports import import_dataset
    from vesalius.data.open import open_dataset

    chosen = {
        "columns": pairs(columns or [], "--column"),
        "images": images,
        "encoding": encoding,
        "negatives": negatives,
    }
    dataset = open_dataset("folder", source, options=chosen)
    shares = None if fractions is None else shares_of(fractions)
    console = Console(soft_wrap=True)
    print_layout(console, dataset)
    done = import_dataset(
        dataset,
        target,
        fractions=shares,
        seed=seed,
        allow_errors=allow_errors,
        allow_leaks=allow_leaks,
        mask_text=mask_text,
    )
    for split, cases in done.cases.items():
        console.print(f"{split}: {cases} cases")
    if mask_text:
        console.print(f"{done.covered} pictures had text, which is covered")
    print_findings(console, done.findings)
    console.print(f"{len(done.findings)} findings; read it with: --root {target} folder")


app.command()(convert)
app.command()(export)
app.command()(pull)
app.command()(push)


@app.command()
def split(
    name: Name,
    out: Annotated[Path, typer.Option(help="The split file to write.")] = Path("splits.jsonl"),
    fractions: Fractions = DEFAULT,
    seed: Seed = 0,
    stratify: Annotated[bool, typer.Option(help="Deal each modality by itself.")] = False,
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
) -> None:
    """Deal the cases to splits, patients and look-alike pictures kept together."""
    from collections import Counter

    from rich.console import Console

    from vesalius.cli.plain import print_findings
    from vesalius.data.audit import read_members
    from vesalius.data.check import unread
    from vesalius.data.findings import finding
    from vesalius.data.split import empty_splits, split_members, write_splits

    dataset = opened(name, root, hub, options, None)
    pool = read_members(dataset)
    shares = shares_of(fractions)
    assigned = split_members(pool, shares, seed=seed, stratify=stratify)
    write_splits(out, assigned)
    console = Console(soft_wrap=True)
    empty = empty_splits(assigned, pool, shares)
    findings = [finding("empty_split", str(out), empty)] if empty else []
    print_findings(console, [*unread(dataset), *findings])
    for part, cases in Counter(assigned.values()).most_common():
        console.print(f"{part}: {cases} cases")
    console.print(f"wrote {out}; use it with --split-file, or the data option split_file")


app.command()(audit)
app.command()(embed)


@app.command()
def forget(
    path: Annotated[Path, typer.Argument(help="A picture, or a folder with all that is in it.")],
    dataset: Annotated[
        str | None,
        typer.Option(help="Read PATH as this data set, for pictures inside tables or archives."),
    ] = None,
) -> None:
    """Remove what this machine's feature cache holds of pictures, and of all texts."""
    from vesalius.steps.forget import forget as step

    pictures, vectors = step(path, dataset)
    typer.echo(f"{pictures} pictures looked up, {vectors} vectors removed, those of texts too")


@app.command()
def dialogues(
    name: Name,
    out: Annotated[Path, typer.Option(help="The new set's folder.")],
    root: Root = None,
    hub: Hub = None,
    options: Options = None,
    split_file: SplitFile = None,
    form: Annotated[str, typer.Option(help="own (rows for folder), or llava (its JSON).")] = "own",
    summaries: Annotated[
        str, typer.Option(help="template, or local-lm: reworded, each sentence checked.")
    ] = "template",
    copy: Annotated[bool, typer.Option(help="Copy pictures that are files, too.")] = False,
    limit: Annotated[int | None, typer.Option(help="At most so many cases a split.")] = None,
) -> None:
    """Make one dialogue of all questions about a picture, closed by a summary of the answers."""
    from rich.console import Console

    from vesalius.cli.plain import dialogues_text
    from vesalius.data.open import dataset_root
    from vesalius.data.visual_dialogue.files import FORMS, write_dialogues
    from vesalius.errors import UnknownName

    for kind, word, known in (("form", form, FORMS), ("kind of summary", summaries, SUMMARIES)):
        if word not in known:
            raise UnknownName(kind, word, known)
    dataset = opened(name, root, hub, options, split_file)
    source = None if hub or copy else dataset_root(name, root)
    writer = None
    if summaries == "local-lm":
        from vesalius.models.writer import local_writer

        writer = local_writer()
    done = write_dialogues(dataset, out, form=form, source=source, writer=writer, limit=limit)
    Console(soft_wrap=True).print(dialogues_text(done), highlight=False)
