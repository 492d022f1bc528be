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
from datetime import datetime, timedelta
from typing import Any

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
        row, secret = _drawn(
            self._now(),
            name=name,
            owner=owner,
            may_act_for_others=may_act_for_others,
            rate_per_minute=rate_per_minute,
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
            if not self._ended(row):
                row.revoked_at = self._now()
            return _key(row)

    def rotate_key(self, key_id: str, *, overlap: timedelta = timedelta()) -> tuple[Key, str]:
        """(key, secret) with the rights and the things of a key, which ends after ``overlap``.

        Refusal ``not_found``, and ``invalid_key`` for one that has ended.
        """
        with self._db.write() as session:
            row = session.get(KeyRow, key_id) if is_id("key_", key_id) else None
            if row is None:
                raise not_found("key")
            if self._ended(row):
                raise Refusal("invalid_key", "this key has ended: create another", where=key_id)
            row.revoked_at = self._now() + overlap
            new, secret = _drawn(
                self._now(),
                name=row.name,
                owner=row.owner,
                may_act_for_others=row.may_act_for_others,
                rate_per_minute=row.rate_per_minute,
            )
            session.add(new)
            return _key(new), secret

    def _ended(self, row: KeyRow) -> bool:
        return row.revoked_at is not None and row.revoked_at <= self._now()

    def authenticate(self, secret: str) -> Key | None:
        """The key of a secret, unless it is revoked; compared in constant time."""
        scheme, _, rest = secret.partition("_")
        key_id = "key_" + rest.partition("_")[0]
        named = scheme == "vsk" and is_id("key_", key_id)
        with self._db.read() as session:
            row = session.get(KeyRow, key_id) if named else None
        same = hmac.compare_digest(row.digest if row else _NOBODY, _digest(secret))
        if row is None or not same or self._ended(row):
            return None
        self._note_use(row)
        return _key(row)

    def _note_use(self, row: KeyRow) -> None:
        now = self._now()
        if row.last_used_at is not None and now - row.last_used_at < _COARSE:
            return
        with suppress(Refusal), self._db.write() as session:  # a full disk must not lock people out
            session.execute(update(KeyRow).where(KeyRow.id == row.id).values(last_used_at=now))


def _drawn(now: datetime, *, owner: str | None, **rights: Any) -> tuple[KeyRow, str]:
    """A new key's row and its secret; without an owner it is its own."""
    key_id = new_id("key_")
    secret = f"vsk_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    digest = _digest(secret)
    row = KeyRow(id=key_id, owner=owner or key_id, digest=digest, created_at=now, **rights)
    return row, secret


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
