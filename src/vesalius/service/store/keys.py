"""API keys: made, listed, revoked, and told from a guess.

A secret is ``vsk_<id>_<random>`` with 256 random bits, and only its SHA-256 is kept. A slow hash
guards passwords, which people choose and attackers can guess; nobody guesses 256 random bits, and a
slow hash on every request would be a way to exhaust the service.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import select, update

from vesalius.errors import Refusal
from vesalius.service.store.records import Key, is_id, new_id
from vesalius.service.store.state import State, not_found
from vesalius.service.store.tables import KeyRow

_COARSE = timedelta(hours=1)
_NOBODY = hashlib.sha256(b"").hexdigest()


class Keys(State):
    """The keys to the service."""

    def create_key(
        self,
        name: str,
        *,
        owner: str | None = None,
        may_act_for_others: bool = False,
        rate_per_minute: int | None = None,
    ) -> tuple[Key, str]:
        """(key, secret); the secret is shown this once. Without an owner the key is its own."""
        key_id = new_id("key_")
        secret = f"vsk_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
        row = KeyRow(
            id=key_id,
            name=name,
            owner=owner or key_id,
            digest=_digest(secret),
            may_act_for_others=may_act_for_others,
            rate_per_minute=rate_per_minute,
            created_at=self._now(),
        )
        with self._db.write() as session:
            session.add(row)
        return _key(row), secret

    def list_keys(self) -> tuple[Key, ...]:
        """Every key, revoked ones too, oldest first."""
        with self._db.read() as session:
            rows = session.scalars(select(KeyRow).order_by(KeyRow.created_at, KeyRow.id))
            return tuple(map(_key, rows))

    def revoke_key(self, key_id: str) -> Key:
        """End a key's life from the next request on; Refusal ``not_found``."""
        with self._db.write() as session:
            row = session.get(KeyRow, key_id) if is_id("key_", key_id) else None
            if row is None:
                raise not_found("key")
            row.revoked_at = row.revoked_at or self._now()
            return _key(row)

    def authenticate(self, secret: str) -> Key | None:
        """The key of a secret, unless it is revoked; compared in constant time."""
        scheme, _, rest = secret.partition("_")
        key_id = "key_" + rest.partition("_")[0]
        named = scheme == "vsk" and is_id("key_", key_id)
        with self._db.read() as session:
            row = session.get(KeyRow, key_id) if named else None
        same = hmac.compare_digest(row.digest if row else _NOBODY, _digest(secret))
        if row is None or not same or row.revoked_at is not None:
            return None
        self._note_use(row)
        return _key(row)

    def _note_use(self, row: KeyRow) -> None:
        now = self._now()
        if row.last_used_at is not None and now - row.last_used_at < _COARSE:
            return
        with suppress(Refusal), self._db.write() as session:  # a full disk must not lock people out
            session.execute(update(KeyRow).where(KeyRow.id == row.id).values(last_used_at=now))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _key(row: KeyRow) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        owner=row.owner,
        may_act_for_others=row.may_act_for_others,
        rate_per_minute=row.rate_per_minute,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
