"""Families of other packages: rows like ours, which they never replace."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from outside import install
from vesalius.errors import ModelError, RecipeError
from vesalius.models.generative.rows.layouts import layouts
from vesalius.models.generative.text.families import LayoutName, families, family
from vesalius.models.generative.weights.tiny import tiny_model

ROW: dict[str, Any] = {
    "title": "New",
    "model_types": ["vipllava"],
    "image": "<image>",
    "parts": {"vision": ["model.vision_tower"], "language": ["lm_head"]},
    "layout": "causal",
}


@pytest.fixture
def entered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """entered(module, name, row): a package that enters the row; the table is read again."""

    def enter(module: str, name: str, row: Any) -> None:
        group = {"vesalius.families": {name: f"{module}:ROW"}}
        install(tmp_path, {f"{module}.py": f"ROW = {row!r}"}, group)
        monkeypatch.syspath_prepend(str(tmp_path))
        families.cache_clear()

    yield enter
    families.cache_clear()


def test_a_row_may_name_every_layout() -> None:
    assert set(get_args(LayoutName)) == set(layouts)


def test_a_row_stands_beside_ours_and_replaces_none(entered: Any) -> None:
    ours = family("llava")
    entered("family_beside", "newer", ROW)
    assert family("newer").model_types == ("vipllava",)
    assert family("llava") == ours


def test_a_name_of_ours_stays_ours(entered: Any) -> None:
    entered("family_instead", "llava", ROW)
    assert family("llava").title == "LLaVA-1.5"


@pytest.mark.parametrize(
    ("module", "row", "line"),
    [
        ("family_key", {**ROW, "layuot": "causal"}, "the family newer.*did you mean layout"),
        ("family_short", {"title": "New"}, "the family newer.*model_types"),
        ("family_list", ["layout"], "the family newer.*is no mapping"),
        (
            "family_layout",
            {**ROW, "layout": "casual"},
            "newer.*layout: Input should be 'causal'",
        ),
    ],
)
def test_a_bad_row_is_one_line(entered: Any, module: str, row: Any, line: str) -> None:
    entered(module, "newer", row)
    with pytest.raises(RecipeError, match=line):
        families()


def test_without_sizes_there_is_no_tiny_form(entered: Any) -> None:
    entered("family_sizes", "newer", ROW)
    with pytest.raises(ModelError, match="the family newer has no tiny form"):
        tiny_model(family("newer"), [], 0)
