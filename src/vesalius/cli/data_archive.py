"""``vesalius data pull`` and ``push``: pictures out of a DICOMweb archive, results into it."""

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from vesalius.cli.data_options import pairs

Url = Annotated[str, typer.Argument(help="The archive's DICOMweb address (https://...).")]


def pull(
    url: Url,
    out: Annotated[Path, typer.Argument(help="The folder; what is there is not fetched again.")],
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", help="A keyword and its value, e.g. Modality=CT; repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many image objects.")] = 1000,
) -> None:
    """Fetch DICOM objects from an archive (QIDO-RS, WADO-RS); exit 1 if some did not come."""
    from vesalius.data.dicomweb.pull import pull as step

    chosen = {name: str(value) for name, value in pairs(filters or [], "--filter").items()}
    done = step(url, out, filters=chosen, limit=limit)
    lines = [f"{done.new} files fetched, {done.here} were here already"]
    lines += [f"{number} not fetched: {why}" for why, number in done.failures.items()]
    lines += [f"the archive has more than {limit}: raise --limit"] if done.more else []
    lines.append(
        f"they name patients; next: vesalius deidentify {quote(str(out))} {quote(f'{out}-clean')}"
    )
    typer.echo("\n".join(lines))
    if done.failures:
        raise typer.Exit(1)


def push(
    url: Url,
    files: Annotated[list[Path], typer.Argument(help="Structured reports and segmentations.")],
) -> None:
    """Send result files to an archive (STOW-RS)."""
    from vesalius.data.dicomweb.push import push as step

    typer.echo(f"{step(url, files)} stored")
