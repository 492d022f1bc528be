"""Where the course of work is shown: standard error, as plain text in a notebook."""

from __future__ import annotations

from rich.console import Console


def progress_console() -> Console:
    """The console of progress bars: live on a terminal, a line at the end elsewhere.

    In a notebook rich would draw by widgets and put itself in the place of standard error, on which
    the bars of tqdm (in transformers) then call one another without end.
    """
    console = Console(stderr=True)
    if not console.is_jupyter:
        return console
    return Console(stderr=True, force_jupyter=False, force_terminal=False)
