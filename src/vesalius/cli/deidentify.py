"""``vesalius deidentify``: DICOM without identities, and a look at what is left."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vesalius.cli.panels import PREPARE
from vesalius.cli.sharing import Engine, Merge, ShardsAt, Worker, sharing

if TYPE_CHECKING:
    from vesalius.data.deidentify import Summary

WORDS = {
    "done": "de-identified",
    "duplicate": "the same image again",
    "skipped": "no DICOM object",
    "refused": "refused",
    "failed": "failed",
    "finding": "removed: the check found something",
}

CLASSES = {
    "capture": "secondary captures that do not say of what",
    "label": "slide labels",
    "overview": "overviews of slides",
    "screen": "pictures of screens",
    "document": "scanned documents",
    "film": "films and prints",
    "face": "recognisable persons",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PREPARE)(deidentify)


def deidentify(
    source: Annotated[Path, typer.Argument(help="A DICOM file, a folder, a zip or a DICOMDIR.")],
    out: Annotated[Path | None, typer.Argument(help="A new folder, outside the source.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(help="The secret key's file, made if absent. Default: OUT.key beside OUT."),
    ] = None,
    dates: Annotated[
        str, typer.Option(help="remove, or shift: each patient's by a secret number of days.")
    ] = "remove",
    retain_uids: Annotated[
        bool, typer.Option("--retain-uids", help="Keep UIDs instead of replacing them.")
    ] = False,
    retain_device: Annotated[
        bool, typer.Option("--retain-device", help="Keep serial numbers and station names.")
    ] = False,
    retain_characteristics: Annotated[
        bool,
        typer.Option("--retain-characteristics", help="Keep age (up to 90), sex, size, weight."),
    ] = False,
    keep_reports: Annotated[
        bool, typer.Option("--keep-reports", help="Clean structured reports; else refused.")
    ] = False,
    clean_pixels: Annotated[
        bool, typer.Option("--clean-pixels", help="Find burned-in text and black it out.")
    ] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="Let pictures through that show who it is of: label, overview, screen, document, "
            "film or face; repeatable. Else refused."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Look into each output a second time.")
    ] = True,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="A private list of which source is which row.")
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: cores.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look at SOURCE, which is de-identified already.")
    ] = False,
    worker: Worker = False,
    merge: Merge = False,
    shards: ShardsAt = None,
    engine: Engine = None,
) -> None:
    """De-identify DICOM by PS3.15's Basic Profile as an allow-list, and check what was written."""
    from vesalius.data import deidentify as package
    from vesalius.errors import DatasetError
    from vesalius.settings import validated

    if check:
        _check(source)
        return
    if out is None:
        raise DatasetError("name a folder to write to", hint="vesalius deidentify SOURCE OUT")
    settings = {
        "dates": dates,
        "retain_uids": retain_uids,
        "retain_device": retain_device,
        "retain_characteristics": retain_characteristics,
        "keep_reports": keep_reports,
        "clean_pixels": clean_pixels,
        "allow": allow or [],
        "verify": verify,
    }
    options = validated(package.Options, settings, where="deidentify")
    if worker and map_file is not None:
        raise DatasetError("a worker writes no map", where="--map", hint="give it with --merge")
    shared = sharing(worker, merge, shards, engine, workers if engine else None)
    if shared:
        each = 1 if engine else workers
        how: dict[str, Any] = {"key": key, "at": shards, "workers": each}
        make = partial(package.SharedDeidentification, source, out, options, **how)
        summary = shared.job(make).merge(map_file)
    else:
        how = {"key": key, "map_file": map_file, "workers": workers}
        summary = package.deidentify(source, out, options, **how)
    typer.echo(_summary_text(summary))
    summary.require_good()


def _summary_text(summary: "Summary") -> str:
    lines = [
        f"{summary.statuses[status]:,} {words}"
        for status, words in WORDS.items()
        if summary.statuses[status]
    ]
    if summary.names:
        lines.append(f"texts cleared of a person's name: {summary.names:,}")
    for shows, count in sorted(summary.shows.items()):
        lines.append(f"warning: look at the pixels of {CLASSES.get(shows, shows)}: {count:,}")
    lines.append(f"in {summary.out}, with manifest.jsonl")
    if summary.key is not None:
        lines.append(f"the key is {summary.key}: keep it secret, and apart from the output")
    return "\n".join(lines)


def _check(folder: Path) -> None:
    from vesalius.data.deidentify import check_folder
    from vesalius.errors import IdentityRisk

    files = bad = 0
    for path, findings in check_folder(folder):
        files += 1
        bad += bool(findings)
        for finding in findings:
            typer.echo(f"{finding.code} in {finding.where}: {path}")
    if bad:
        raise IdentityRisk(f"{bad} of {files} files hold something they should not", where=folder)
    typer.echo(f"{files} files, nothing found")
