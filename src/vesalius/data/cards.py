"""What a data set is, under which licence, how large, and what is odd about it: cards as data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator

from vesalius.data.croissant.vocabulary import vocabulary
from vesalius.data.datasets import datasets
from vesalius.errors import DatasetError, UnknownName
from vesalius.settings import Frozen, validated
from vesalius.system.tables import parse_yaml

_OURS = "vesalius.data.datasets"


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
    rai: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """What else is known of how the data were made, under the names of Croissant's RAI."""

    @field_validator("rai")
    @classmethod
    def _named_by_rai(cls, value: dict[str, Any]) -> dict[str, Any]:
        known = vocabulary()["rai"]
        other = next((name for name in value if name not in known), None)
        if other is not None:
            raise ValueError(f"no property of RAI: {other}; known: {', '.join(known)}")
        return value

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
    """The card of the data set ``name``; UnknownName where there is none.

    Ours lie in ``data/datasets/cards``. Another package's reader has a ``CARD`` (a :class:`Card`
    or a mapping of its keys), or its package holds ``cards/<name>.yaml`` beside the reader.
    """
    own = files(_OURS) / "cards" / f"{name}.yaml"
    if name.isidentifier() and own.is_file():
        return _read(own, f"cards/{name}.yaml")
    found = _of_reader(name) if name in datasets else None
    if found is None:
        raise UnknownName("data set card", name, [n for n in datasets if _has_card(n)])
    return found


def card_or_none(name: str) -> Card | None:
    """The card of the data set ``name``, or None: another package's set may come without one."""
    try:
        return card(name)
    except UnknownName:
        return None


def _has_card(name: str) -> bool:
    return (files(_OURS) / "cards" / f"{name}.yaml").is_file()


def _of_reader(name: str) -> Card | None:
    """The card that another package's reader has, or that lies in its package."""
    reader = datasets[name]
    entry = getattr(reader, "CARD", None)
    if isinstance(entry, Card):
        return entry
    if entry is not None:
        return validated(Card, entry, where=f"CARD of the data set {name}")
    module = import_module(reader.__module__)
    beside = files(module.__package__) if module.__package__ else Path(str(module.__file__)).parent
    path = beside / "cards" / f"{name}.yaml"
    return _read(path, f"cards/{name}.yaml of {reader.__module__}") if path.is_file() else None


def _read(path: Traversable, where: str) -> Card:
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError("not valid YAML", where=where) from error
    return validated(Card, content, where=where)
