"""Progress is a line of plain text in a notebook, whatever its standard error says that it is."""

from __future__ import annotations

import io
import sys

import pytest
from rich.progress import Progress

from vesalius.system.console import progress_console


class Terminal(io.StringIO):
    """As a notebook's streams are: they call themselves terminals."""

    def isatty(self) -> bool:
        return True


def drawn(monkeypatch: pytest.MonkeyPatch, *, jupyter: bool) -> str:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: jupyter)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(console=progress_console()) as bar:
        assert (sys.stderr is stream) == jupyter  # a live bar stands between
        bar.update(bar.add_task("fitting", total=2), completed=2)
    return stream.getvalue()


def test_a_notebook_gets_one_line_and_keeps_its_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = drawn(monkeypatch, jupyter=True)
    assert text.count("fitting") == 1
    assert "\x1b" not in text


def test_a_terminal_gets_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[?25l" in drawn(monkeypatch, jupyter=False)  # the cursor is hidden meanwhile
