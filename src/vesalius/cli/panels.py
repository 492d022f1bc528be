"""The groups that ``vesalius --help`` shows its commands in: the five steps, and all at once."""

from __future__ import annotations

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


class ByStep(TyperGroup):
    """Commands in the order of the steps, whatever the order in which they were added."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the commands; those of one step as they were added."""
        return sorted(self.commands, key=lambda name: PANELS.index(_panel(self.commands[name])))


def _panel(command: Any) -> str:
    panel = getattr(command, "rich_help_panel", None)
    return panel if panel in PANELS else ALL
