"""Messages that hold the next command to try."""

from __future__ import annotations

import importlib.metadata

import pytest

from vesalius.errors import MissingExtra


def test_a_missing_extra_is_installed_by_name_or_from_the_tree_that_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.1.0")
    assert str(MissingExtra("ray", "ray")).endswith("(try: pip install 'vesalius[ray]')")
    monkeypatch.setattr(importlib.metadata, "version", absent)
    assert str(MissingExtra("ray", "ray")).endswith("(try: pip install '.[ray]')")
