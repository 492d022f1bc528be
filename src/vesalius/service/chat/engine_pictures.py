"""Pictures that the engine may hold something of, so that it gives up what is deleted elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

from vesalius.service.engine import Engine
from vesalius.service.store import Store
from vesalius.service.threads import in_thread


class EnginePictures:
    """Image ids by picture key, of all that the engine was shown."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store, self._engine = store, engine
        self._ids: dict[str, str] = {}

    def add(self, image_ids: Mapping[str, str]) -> None:
        """These are shown to the engine."""
        self._ids.update(image_ids)

    async def forget_stale(self) -> None:
        """Have the engine forget pictures that expired, or that another process deleted."""
        held = dict(self._ids)
        living = await in_thread(self._store.living_of, list(held.values()))
        for key, image_id in held.items():
            # The same picture may be here again meanwhile, newly uploaded.
            if image_id not in living and self._ids.get(key) == image_id:
                self._engine.forget(key)
                del self._ids[key]
