"""STATE: what the service keeps, in a database and a place for pictures, and for how long.

It knows nothing of HTTP, models or settings. Every read and write names the owner; another's id is
answered as one that never was.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from vesalius.service.store.audit import Audit
from vesalius.service.store.conversations import Conversations
from vesalius.service.store.database import Database
from vesalius.service.store.images import Images
from vesalius.service.store.keys import Keys
from vesalius.service.store.owners import Owners
from vesalius.service.store.pictures import Pictures
from vesalius.service.store.ratings import Ratings
from vesalius.service.store.retention import Retention
from vesalius.service.store.state import utc_now
from vesalius.service.store.studies import Studies
from vesalius.service.store.turns import Turns
from vesalius.service.store.uploads import UploadList


class Store(
    Images, UploadList, Studies, Conversations, Turns, Ratings, Keys, Owners, Audit, Retention
):
    """All that the service keeps.

    ``url`` is a database (``sqlite:///FILE``, ``postgresql://...``), ``pictures`` a folder or a URL
    that fsspec knows (``s3://bucket/prefix``). Methods block, are safe in threads, and any number
    of processes may share one state. Failures are Refusals: ``storage_full`` (nothing was stored)
    and ``storage_unavailable``.
    """

    def __init__(self, url: str, pictures: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        super().__init__(Database(url), Pictures(pictures), clock)

    @property
    def local(self) -> bool:
        """Whether any of the state lies on this machine, and would go with it."""
        memory = self._pictures.url.startswith("memory:")
        return self._db.sqlite or self._pictures.local or memory

    def migrate(self) -> None:
        """Make the tables or bring them to this version; processes may all do so as they start."""
        self._db.upgrade()

    def ping(self) -> None:
        """Refusal ``storage_unavailable`` unless database and pictures answer."""
        self._db.check()
        self._pictures.check()

    def close(self) -> None:
        """Close the connections; the store opens new ones if it is used again."""
        self._db.close()
