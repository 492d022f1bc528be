"""Registries and the error tree."""

from __future__ import annotations

import subprocess
import sys

import pytest

import vesalius
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


def test_the_public_face() -> None:
    assert vesalius.__all__ == sorted(vesalius.__all__)
    assert all(hasattr(vesalius, name) for name in vesalius.__all__)


@pytest.mark.parametrize(
    "module",
    ["vesalius", "vesalius.cli.main", "vesalius.data.open", "vesalius.evaluation.evaluate"],
)
def test_no_torch_before_it_is_needed(module: str) -> None:
    code = (
        f"import sys, {module}; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_error_is_one_line_and_in_the_drawn_tree() -> None:
    error = VesaliusError("what\n is wrong", where="file.csv row 3", hint="try x")
    assert str(error) == "file.csv row 3: what is wrong (try x)"
    drawn = errors.__doc__ or ""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, VesaliusError):
            assert value.__name__ in drawn
