"""The example on dialogues runs and says what it says it says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_example_on_dialogues_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "dialogues.py"))["main"](tmp_path)
    said = capsys.readouterr().out
    assert "dialogues: {'train': 60, 'test': 20}" in said
    assert "dropped: nothing" in said
    assert "  Describe the image.  " in said
    # answers that are counted, not looked for, need no history
    assert "own minus gold: +0.000 [-" in said
