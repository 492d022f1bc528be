"""From settings to the store, without models, chat or HTTP: keys and logs need no more."""

from __future__ import annotations

from vesalius.service.settings import Settings
from vesalius.service.store import Store


def open_store(settings: Settings) -> Store:
    """The store that settings name."""
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Store(settings.database, settings.pictures)
