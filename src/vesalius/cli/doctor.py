"""doctor: what this machine has, lacks and could have; and that nothing here calls home."""

from pathlib import Path
from typing import Annotated, Any

import typer

from vesalius.cli.panels import ALL
from vesalius.errors import install_command


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=ALL)(doctor)


def doctor(
    hub: Annotated[bool, typer.Option("--hub", help="Also ask whether the hub answers.")] = False,
    airgap: Annotated[
        bool,
        typer.Option("--airgap", help="Also work on phantoms with the internet refused."),
    ] = False,
    save: Annotated[Path | None, typer.Option(help="Also write it all here (JSON).")] = None,
) -> None:
    """Say what this machine has: versions, processors, room, caches, extras. It asks nobody."""
    from rich.console import Console

    from vesalius.system import machine
    from vesalius.system.files import write_json

    console = Console(highlight=False, soft_wrap=True)
    facts: dict[str, Any] = machine.facts()
    for title, lines in _sections(facts).items():
        console.print(f"[bold]{title}[/bold]")
        for line in lines:
            console.print(f"  {line}", markup=False)
    failed = False
    if hub:
        facts["hub"] = answer = machine.ask_hub()
        console.print(f"[bold]hub[/bold]\n  {answer}")
    if airgap:
        from vesalius.steps.airgap import work_sealed

        facts["airgap"] = results = [one.facts() for one in work_sealed(console.print)]
        failed = any(one["hosts"] or one["exit"] for one in results)
        verdict = "something asked for a host, or failed" if failed else "nothing asked for a host"
        console.print(f"[bold]{verdict}[/bold]")
    if save is not None:
        write_json(save, facts)
    raise typer.Exit(1 if failed else 0)


def _sections(facts: dict[str, Any]) -> dict[str, list[str]]:
    """The facts in lines, by title."""
    found = facts["processors"]
    memory = "unknown" if found["memory"] is None else _gib(found["memory"])
    gpus = [
        f"GPU: {one['name']}, {_gib(one['memory'])}, capability {one['capability']}"
        for one in found["gpus"] or ()
    ] or ["GPU: none that torch finds" if found["gpus"] == [] else "GPU: torch is not installed"]
    extras = facts["extras"]
    return {
        "versions": [
            f"{name} {held or 'not installed'}" for name, held in facts["versions"].items()
        ],
        "machine": [
            f"{found['system']}, {found['machine']}, {found['cores']} cores, {memory}",
            *gpus,
        ],
        "free": [f"{name}: {_gib(free)}" for name, free in facts["free"].items()],
        "caches": [
            f"{one['name']}: {'' if one['whole'] else 'over '}{_gib(one['bytes'])} in {one['path']}"
            for one in facts["caches"]
        ],
        "extras that are not whole": [
            f"{name}: {one['adds']} (missing {', '.join(one['missing'])})"
            for name, one in extras.items()
        ]
        or ["none"],
    } | ({"to have them": [install_command("NAME")]} if extras else {})


def _gib(number: int) -> str:
    return f"{number / 2**30:.1f} GiB"
