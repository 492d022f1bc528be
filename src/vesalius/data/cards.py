"""What a data set is, under which licence, how large, and what is odd about it: cards as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import Field

from vesalius.errors import DatasetError, UnknownName
from vesalius.recipe import Frozen, validated


class Release(Frozen):
    """One publication of a set, with its orientation counts of images and questions by split."""

    name: str
    images: dict[str, int] = Field(default_factory=dict)
    questions: dict[str, int] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    """The reader's options under which this release is read."""
    source: str = ""
    """Who counted."""


class Card(Frozen):
    """A data set's card. Counts are for orientation: a reader never relies on them."""

    name: str
    title: str
    summary: str
    licence: str
    homepage: str
    citation: str
    hub: tuple[str, ...] = ()
    """Hugging Face hub ids; the first one is used by ``hub: true``."""
    releases: tuple[Release, ...] = ()
    fields: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    intended_use: str

    def release(self, options: Mapping[str, Any]) -> Release:
        """The first release that a reader with these options would read, as far as they say.

        DatasetError where the card counts nothing of the kind.
        """
        releases = [r for r in self.releases if not _differ(r.options, options)]
        if not releases:
            hint = "give the folder of the data itself"
            raise DatasetError("the card has no counts", where=self.name, hint=hint)
        return max(releases, key=lambda release: len(release.options.keys() & options.keys()))


def _differ(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return any(one[name] != other[name] for name in one.keys() & other.keys())


@lru_cache(maxsize=32)
def card(name: str) -> Card:
    """The card of the data set ``name``; UnknownName where there is none."""
    folder = files("vesalius.data.datasets") / "cards"
    path = folder / f"{name}.yaml"
    if not name.isidentifier() or not path.is_file():
        known = [p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml")]
        raise UnknownName("data set card", name, known)
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return validated(Card, content, where=f"cards/{name}.yaml")
