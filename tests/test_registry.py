"""Registries and the error tree."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from inspect import isfunction
from pathlib import Path

import pytest

import vesalius
from outside import install
from vesalius import errors
from vesalius.errors import UnknownName, VesaliusError
from vesalius.registry import Registry


def test_an_entry_is_imported_when_asked_for() -> None:
    registry = Registry("thing", {"path": "pathlib:Path", "lost": "no.such.module:X"})
    assert list(registry) == ["lost", "path"]
    assert registry["path"].__name__ == "Path"
    with pytest.raises(UnknownName, match="did you mean path"):
        registry["pth"]
    with pytest.raises(KeyError):
        registry["x"]


def test_entries_may_be_there_already_and_groups_have_any_name() -> None:
    registry = Registry("family", {"one": {"a": 1}}, group="vesalius.families")
    assert registry["one"] == {"a": 1}
    assert registry.group == "vesalius.families"


def test_another_packages_entry_is_found_replaces_none_and_says_why_it_cannot_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"path": "knees:THING", "mine": "knees:THING", "gone": "knees:NOTHING"}
    install(tmp_path, {"knees.py": "THING = 7"}, {"vesalius.things": entries})
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = Registry("thing", {"path": "pathlib:Path"})
    assert list(registry) == ["gone", "mine", "path"]
    assert registry["path"] is Path
    assert registry["mine"] == 7
    with pytest.raises(VesaliusError, match=r"knees:NOTHING: the thing 'gone' of another package"):
        registry["gone"]


NOUNS = """
    Answer Box Case Confidence Dialogue Neighbour Picture Prediction Question Recipe Run Source Turn
    Usage VesaliusError
"""
VERBS = "ask compare evaluate fit load load_recipe open_dataset predict probe report"


def test_the_public_names_are_these() -> None:
    """What a release promises: a name that goes, or comes, changes this test."""
    assert vesalius.__all__ == [*NOUNS.split(), *VERBS.split()]
    assert set(vesalius.__all__) <= set(dir(vesalius))
    for name in NOUNS.split():
        assert isinstance(getattr(vesalius, name), type)
    for name in VERBS.split():
        assert isfunction(getattr(vesalius, name))
        assert getattr(vesalius, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        vesalius.fitt  # noqa: B018


@pytest.mark.parametrize("module", ["data.open", "evaluation.evaluate", "steps.evaluate"])
def test_no_torch_before_it_is_needed(module: str) -> None:
    assert not imported_with(f"vesalius.{module}", {"torch", "transformers"})


@pytest.mark.parametrize("module", ["vesalius", "vesalius.cli.main"])
def test_the_package_and_its_commands_load_nothing_heavy(module: str) -> None:
    heavy = {"torch", "transformers", "numpy", "pydantic", "yaml", "PIL", "scipy", "fastapi"}
    assert not imported_with(module, heavy)


def imported_with(module: str, names: set[str]) -> set[str]:
    """Those of ``names`` that a fresh interpreter has loaded after importing ``module``."""
    code = f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return names & set(json.loads(done.stdout))


def test_an_error_is_one_line() -> None:
    error = VesaliusError("what\n is wrong", where="file.csv row 3", hint="try x")
    assert str(error) == "file.csv row 3: what is wrong (try x)"


def test_every_error_is_in_the_drawn_tree_below_the_one_it_is() -> None:
    drawn = dict(branches(errors.__doc__ or ""))
    there = {name: parent for name, parent in errors_defined() if parent != "Exception"}
    assert len(there) > 15
    assert there == drawn


def errors_defined() -> Iterator[tuple[str, str]]:
    """(name, parent) of every class in the source that is a VesaliusError, wherever it stands."""
    source = Path(errors.__file__).parent
    parents = {
        node.name: [base.id for base in node.bases if isinstance(base, ast.Name)]
        for path in source.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }

    def is_error(name: str) -> bool:
        return name == "VesaliusError" or any(map(is_error, parents.get(name, ())))

    return ((name, bases[0]) for name, bases in parents.items() if bases and is_error(name))


def branches(tree: str) -> Iterator[tuple[str, str]]:
    """(name, parent) of every branch of the drawn tree."""
    above = ["VesaliusError"]
    for line in tree.splitlines():
        match = re.match(r"([│ ]*)[├└]── (\w+)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth + 1 :] = [match[2]]
            yield match[2], above[depth]
