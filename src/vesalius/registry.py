"""Names that lead to lazily imported entries, ours and other packages'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from vesalius.errors import UnknownName, VesaliusError


class Registry(Mapping[str, Any]):
    """A mapping from name to entry; an entry's module is imported when it is first asked for.

    ``entries`` maps names to ``"package.module:attribute"``, or to entries themselves. Other
    packages add theirs through the entry-point ``group``, by default ``vesalius.<kind>s``; they
    cannot replace one of ours. VesaliusError names an entry of theirs that cannot be loaded.
    """

    def __init__(self, kind: str, entries: Mapping[str, Any], group: str | None = None) -> None:
        self.kind, self.group = kind, group or f"vesalius.{kind}s"
        self._own = dict(entries)

    @cached_property
    def _targets(self) -> dict[str, Any]:
        return {p.name: p.value for p in entry_points(group=self.group)} | self._own

    def __getitem__(self, name: str) -> Any:
        target = self._own.get(name) or self._targets.get(name)
        if target is None:
            raise UnknownName(self.kind, name, self)
        if not isinstance(target, str):
            return target
        try:
            return _loaded(target)
        except Exception as error:
            if name in self._own:
                raise
            what = f"the {self.kind} {name!r} of another package cannot be loaded"
            reason = f"{type(error).__name__}: {error}"
            raise VesaliusError(f"{what}: {reason}", where=target) from error

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._targets))

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, name: object) -> bool:
        return name in self._targets


def _loaded(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
