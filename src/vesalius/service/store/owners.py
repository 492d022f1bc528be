"""Owners: people and keys as keyed hashes, so that nothing stored names anybody."""

from __future__ import annotations

import hashlib
import hmac

from vesalius.errors import Refusal
from vesalius.service.store.state import State
from vesalius.service.store.tables import SecretRow


class Owners(State):
    """Names as hashes under a salt that this state alone has.

    A list of logins, or another service's state, does not tell whose things are here; a whole copy
    of the database holds the salt, too, and is to be kept accordingly.
    """

    _salt: bytes | None = None

    @property
    def salted(self) -> bool:
        """Whether the salt is at hand: then :meth:`owner` asks no database."""
        return self._salt is not None

    def owner(self, name: str) -> str:
        """``own_`` and 40 hexadecimal digits: HMAC-SHA-256 of the name's SHA-256, both shortened.

        Of its SHA-256, because that is what states held before there was a salt.
        """
        unsalted = "own_" + hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:40]
        return "own_" + self._mac(unsalted).hex()[:40]

    def series_key(self, owner: str) -> bytes:
        """The key of hashes by which an owner's pictures are compared; another's are of another."""
        return self._mac(f"series\0{owner}")

    def _mac(self, text: str) -> bytes:
        if self._salt is None:
            self._salt = self._read_salt()
        return hmac.digest(self._salt, text.encode(), hashlib.sha256)

    def _read_salt(self) -> bytes:
        with self._db.read() as session:
            row = session.get(SecretRow, "owners")
        if row is None:
            raise Refusal("storage_unavailable", "the database has lost its salt")
        return bytes.fromhex(row.value)
