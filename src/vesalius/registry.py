"""Names that lead to lazily imported entries, ours and other packages'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from vesalius.errors import UnknownName


class Registry(Mapping[str, Any]):
    """A mapping from name to entry; an entry's module is imported when it is first asked for.

    ``entries`` maps names to ``"package.module:attribute"``. Other packages add theirs through
    the entry-point group ``vesalius.<kind>s``; they cannot replace one of ours.
    """

    def __init__(self, kind: str, entries: Mapping[str, str]) -> None:
        self.kind = kind
        self._own = dict(entries)

    @cached_property
    def _targets(self) -> dict[str, str]:
        group = f"vesalius.{self.kind}s"
        return {p.name: p.value for p in entry_points(group=group)} | self._own

    def __getitem__(self, name: str) -> Any:
        target = self._own.get(name) or self._targets.get(name)
        if target is None:
            raise UnknownName(self.kind, name, self)
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets
