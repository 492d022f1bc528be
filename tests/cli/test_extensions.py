"""Commands of other packages: beside ours, under their step, and never in the place of ours."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from outside import install
from vesalius.cli import extensions
from vesalius.cli.extensions import Command
from vesalius.cli.panels import EVALUATE, ByStep
from vesalius.errors import UnknownName

MODULE = """
import typer
from vesalius.cli.extensions import Command
from vesalius.cli.panels import PREPARE

def count(times: int = 1) -> None:
    \"\"\"Count to a number.\"\"\"
    typer.echo(str(times))

group = typer.Typer(help="Two of them.")
group.command("up")(count)
group.command("down")(count)

COUNT, GROUP, PLAIN = Command(count, PREPARE), Command(group), count
"""


def called(site: Path, entries: dict[str, str], *words: str) -> Result:
    """A program with one command, ``ours``, and those of a package with these entries."""
    install(site, {"outside_commands.py": MODULE}, {"vesalius.commands": entries})
    app = typer.Typer(cls=ByStep, rich_markup_mode=None)

    @app.callback()
    def root() -> None:
        """A program with several commands."""

    @app.command("ours", rich_help_panel=EVALUATE)
    def ours() -> None:
        """Ours."""
        typer.echo("ours")

    extensions.register(app)
    return CliRunner(env={"COLUMNS": "120"}).invoke(app, list(words))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_command_takes_its_options_and_stands_under_its_step(site: Path) -> None:
    entries = {"count": "outside_commands:COUNT", "many": "outside_commands:GROUP"}
    assert called(site, entries, "count", "--times", "3").stdout == "3\n"


def test_help_shows_commands_and_groups_in_the_order_of_the_steps(site: Path) -> None:
    entries = {"count": "outside_commands:COUNT", "many": "outside_commands:GROUP"}
    lines = called(site, entries, "--help").stdout.splitlines()
    places = [
        next(at for at, line in enumerate(lines) if text in line)
        for text in ("Prepare", "  count", "Evaluate", "  ours", "All five steps", "  many")
    ]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ({"ours": "outside_commands:COUNT"}, "command 'ours' cannot replace ours"),
        (
            {"gone": "outside_commands:NOTHING"},
            "the command 'gone' of another package cannot be loaded",
        ),
        ({"lost": "no.such.module:X"}, "ModuleNotFoundError"),
        (
            {"plain": "outside_commands:PLAIN"},
            "the command 'plain' of another package is no Command",
        ),
    ],
)
def test_what_cannot_be_added_is_one_line_and_ours_work(
    site: Path, capsys: pytest.CaptureFixture[str], entries: dict[str, str], line: str
) -> None:
    assert called(site, entries, "ours").stdout == "ours\n"
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("vesalius: ")
    assert line in warning


def test_a_step_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean Evaluate"):
        Command(print, "Evaluation")
