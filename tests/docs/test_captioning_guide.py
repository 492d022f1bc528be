"""The page that goes the whole way of a captioning system: its commands, in their tiny form."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vesalius.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guide" / "captioning.md"
TINY = {"fit": ["--tiny"], "submit": ["--allow-empty"]}
"""What is added to a command: toy captioners write nothing readable, some of them nothing."""


def commands() -> list[list[str]]:
    """The page's commands, without those that want the challenge's own folder."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[1] != "data" and "image_clef" not in line]


@pytest.mark.slow
def test_the_page_s_commands_go_the_whole_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VESALIUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESALIUS_DATA", raising=False)
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for words in commands():
        done = CliRunner().invoke(app, [*words, *TINY.get(words[0], [])], catch_exceptions=False)
        assert done.exit_code == 0, words
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert all(
        f"| {run} " in table for run in ("near", "llava", "few-shot", "synthesizer", "fuser")
    )
    assert {one.name for one in (tmp_path / "submission").iterdir()} == {
        "captions.csv",
        "concepts.csv",
    }
