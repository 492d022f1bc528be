"""Commands of other packages: entries of the group ``vesalius.commands``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typer

from vesalius.cli.panels import ALL, PANELS
from vesalius.errors import UnknownName, VesaliusError
from vesalius.registry import Registry


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and the step under which ``vesalius --help`` shows it.

    ``function`` is what typer takes: its parameters are arguments and options, its docstring the
    help; or a ``typer.Typer`` with commands of its own. ``step`` is one of ``PANELS``. Help imports
    the module, so what is heavy is imported inside the function.
    """

    function: Callable[..., Any] | typer.Typer
    step: str = ALL

    def __post_init__(self) -> None:
        if self.step not in PANELS:
            raise UnknownName("step", self.step, PANELS)


def register(app: typer.Typer) -> None:
    """Add every entry of the group; one that cannot be added is a line on standard error."""
    commands = Registry("command", {})
    own = _names(app)
    for name in commands:
        try:
            if name in own:
                raise VesaliusError(f"another package's command {name!r} cannot replace ours")
            _add(app, name, commands[name])
        except VesaliusError as error:
            typer.echo(f"vesalius: {error}", err=True)


def _add(app: typer.Typer, name: str, entry: Any) -> None:
    if not isinstance(entry, Command):
        hint = "make it a vesalius.cli.extensions.Command"
        raise VesaliusError(f"the command {name!r} of another package is no Command", hint=hint)
    if isinstance(entry.function, typer.Typer):
        app.add_typer(entry.function, name=name, rich_help_panel=entry.step)
    else:
        app.command(name, rich_help_panel=entry.step)(entry.function)


def _names(app: typer.Typer) -> set[str]:
    """The names of the commands and groups that the app has."""
    commands = {
        one.name or getattr(one.callback, "__name__", "") for one in app.registered_commands
    }
    return commands | {str(group.name) for group in app.registered_groups}
