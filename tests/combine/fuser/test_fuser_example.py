"""The example's proof: a fuser is better than each of its members and than their consensus."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from vesalius import Recipe
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.table import table

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.mark.slow
def test_a_fuser_beats_its_best_member_and_their_consensus(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "fuser.py"))["main"](tmp_path)
    roots = [f"data.root={tmp_path / 'whole'}"]
    roots += [
        f"model.members.{name}.data.root={tmp_path / name}" for name in ("what", "many", "side")
    ]
    run = fit(Recipe.read(EXAMPLES / "fuser.yaml", roots), tmp_path / "fuser")
    assert predict(run) == 300
    rows = table(run.path, members=True, metrics=["rouge"], baseline="fuser").rows
    others = {row.name: row.difference("rouge.L") for row in rows if row.name != "fuser"}
    assert set(others) == {f"fuser/{name}" for name in ("what", "many", "side", "consensus")}
    for name, difference in others.items():
        assert difference is not None, name
        assert difference.high < 0, name  # each is worse than the fuser
        assert difference.p_holm < 0.05, name
