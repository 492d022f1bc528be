"""The command line's reference, from the tree of commands itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from vesalius_docs.words import code, kind, prose, table

HEAD = """# Command line

Every command exits with 0 when it did what was asked, and with 2 and one line on standard error
when something was wrong with the request. `data check` exits with 1 when it found errors.
"""


def commands() -> dict[str, Any]:
    """Every command by its words (``data check``), in the order in which help shows them."""
    from vesalius.cli.main import app

    return dict(_walk(typer.main.get_command(app), ()))


def options(command: Any) -> set[str]:
    """All the flags a command takes, ``--help`` among them."""
    return {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)} | {"--help"}


def slug(name: str) -> str:
    """``data check`` -> ``data-check``: the name of its guide page and anchor."""
    return name.replace(" ", "-")


def page() -> str:
    """All commands on one page."""
    parts = [HEAD]
    for name, command in commands().items():
        guide = f"[Guide](../guide/{slug(name)}.md)\n"
        parts += [f"(cli-{slug(name)})=", f"## {name}\n", prose(command.help) + "\n", guide]
        parts += [fragment(name, command)]
    return "\n".join(parts)


def fragments() -> dict[str, str]:
    """Usage and options of each command, to be included in its guide page."""
    return {slug(name): fragment(name, command) for name, command in commands().items()}


def fragment(name: str, command: Any) -> str:
    """Usage line, arguments and options of one command."""
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    flags = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    words = [name, *map(_usage, arguments), *(f"{p.opts[0]} ..." for p in flags if p.required)]
    parts = [f"```text\nvesalius {' '.join(words)}{' [OPTIONS]' if flags else ''}\n```\n"]
    if arguments:
        parts += [table(("argument", "meaning"), ((code(_metavar(p)), p.help) for p in arguments))]
    if flags:
        header = ("option", "takes", "default", "meaning")
        parts += [table(header, (_row(p) for p in flags))]
    return "\n".join(parts)


def _walk(group: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from _walk(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


def _usage(argument: Any) -> str:
    word = _metavar(argument)
    return (word if argument.required else f"[{word}]") + ("..." if argument.nargs == -1 else "")


def _metavar(argument: Any) -> str:
    return (argument.metavar or argument.name).upper()


def _row(option: Any) -> tuple[str, str, str, str]:
    # The "--no-" form is news only where the option is on by default.
    known = (*option.opts, *(option.secondary_opts if option.default is True else ()))
    flags = ", ".join(map(code, known))
    if option.is_flag:
        takes = ""
    else:
        takes = kind(option.type_descriptor.annotation).removesuffix(" or null")
        takes = f"{takes.removeprefix('list of ')}, repeatable" if option.multiple else takes
    default = "" if option.default in (None, "", False, True) else code(option.default)
    help_text = " ".join((option.help or "").split())
    return flags, takes, default, help_text + (" Required." if option.required else "")
