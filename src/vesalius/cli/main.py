"""The command line: each command parses, calls one verb and prints what it returned."""

import errno
import logging
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer

import vesalius

# Modules of commands postpone no annotations: typer compiles and evaluates each string of them.
from vesalius.cli import (
    ablate,
    agree,
    claims,
    data,
    deidentify,
    doctor,
    evaluation,
    extensions,
    judge,
    mcp,
    metrics,
    models,
    parity,
    probe,
    retrieve,
    review,
    serve,
    submit,
    web,
    weights,
)
from vesalius.cli.panels import ALL, ByStep
from vesalius.errors import VesaliusError

# Other libraries' bars and notices would bury ours; whoever wants them sets these variables.
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}

MACHINE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENOENT, errno.ELOOP, errno.EMFILE, errno.ENFILE),
)
"""What disks, rights and names refuse: no fault of ours, and a line says it."""

app = typer.Typer(
    name="vesalius",
    cls=ByStep,
    help="Medical images with their words: prepare, adapt, combine, evaluate, serve.\n\n"
    "For research use only; not a medical device.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100},
    add_completion=False,
    pretty_exceptions_enable=False,
)
data.register(app)
deidentify.register(app)
serve.register(app)
web.register(app)
mcp.register(app)
models.register(app)
weights.register(app)
evaluation.register(app)
metrics.register(app)
claims.register(app)
parity.register(app)
judge.register(app)
agree.register(app)
review.register(app)
probe.register(app)
ablate.register(app)
submit.register(app)
retrieve.register(app)
doctor.register(app)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Options that stand before a command."""
    if version:
        typer.echo(vesalius.__version__)
        raise typer.Exit


@app.command(rich_help_panel=ALL)
def demo(
    folder: Annotated[Path, typer.Option("--run", help="Where runs and report go.")] = Path(
        "runs/demo"
    ),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of the demo's recipe.")
    ] = None,
) -> None:
    """The whole main job on phantoms: fit, predict, compare with baselines, report, ask."""
    from vesalius.steps.demo import demo as step

    step(folder, tuple(overrides or ()))


extensions.register(app)


def of_machine(error: OSError) -> VesaliusError:
    """What the machine refused, and at which file, where that is known."""
    return VesaliusError(error.strerror or "refused by the machine", where=error.filename)


def main() -> None:
    """The entry point: a VesaliusError is one line on standard error and exit code 2.

    A fit that a signal stopped exits as the signal would have: 130 or 143.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\.")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it looks for kernels nobody needs
    for stream in (sys.stdout, sys.stderr):
        # What a terminal cannot show (a path's accents under LANG=C, a code page) is escaped.
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except VesaliusError as error:
        print(f"vesalius: {error}", file=sys.stderr)  # noqa: T201
        raise SystemExit(getattr(error, "exit_code", 2)) from error
    except OSError as error:
        if error.errno not in MACHINE:
            raise
        print(f"vesalius: {of_machine(error)}", file=sys.stderr)  # noqa: T201
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
