"""The groups that ``vesalius --help`` shows its commands in: the five steps, and all at once."""

from __future__ import annotations

from itertools import groupby
from typing import Any, Final

from typer.core import TyperGroup

PREPARE: Final = "Prepare"
ADAPT: Final = "Adapt"
COMBINE: Final = "Combine"
EVALUATE: Final = "Evaluate"
SERVE: Final = "Serve"
ALL: Final = "All five steps"
PANELS: Final = (PREPARE, ADAPT, COMBINE, EVALUATE, SERVE, ALL)
"""In the order in which help shows them."""
WHOLE: Final = 200
"""Characters of a command's first sentence; more than any of ours has, so none is cut."""


class ByStep(TyperGroup):
    """Commands in sections by step, whatever the order in which they were added.

    Typer's own panels load rich's Markdown and highlighters: half of the time that help takes.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands; those of one step as they were added."""
        return sorted(self.commands, key=lambda name: PANELS.index(_panel(self.commands[name])))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """A section for each step that has commands, with a line each."""
        width = max(map(len, self.commands))
        for panel, names in groupby(self.list_commands(ctx), lambda n: _panel(self.commands[n])):
            rows = [(n.ljust(width), self.commands[n].get_short_help_str(WHOLE)) for n in names]
            with formatter.section(panel):
                formatter.write_dl(rows)


def _panel(command: Any) -> str:
    panel = getattr(command, "rich_help_panel", None)
    return panel if panel in PANELS else ALL
