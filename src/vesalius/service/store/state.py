"""What every part of the store stands on: a database, a place for pictures, a clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from vesalius.errors import Refusal
from vesalius.service.store.database import Database
from vesalius.service.store.pictures import Pictures


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


class State:
    """The ground the parts share; :class:`vesalius.service.store.Store` is all of them."""

    def __init__(
        self, database: Database, pictures: Pictures, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._db, self._pictures, self._now = database, pictures, clock


def not_found(kind: str) -> Refusal:
    """The one answer for an id that never was, is gone, or is another owner's."""
    return Refusal("not_found", f"there is no such {kind}", hint=f"check the {kind}'s id")
