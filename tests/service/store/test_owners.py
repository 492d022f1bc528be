"""Owners: the same person has the same hash in one state, and another in every other."""

from __future__ import annotations

import hashlib

import pytest
from alembic import command
from sqlalchemy import text

from vesalius.errors import Refusal
from vesalius.service.store import Store
from vesalius.service.store.database import alembic


def test_a_name_has_one_hash_in_a_state_and_another_in_the_next(tmp_path) -> None:
    first, again, other = (
        Store(f"sqlite:///{tmp_path / name}.db", str(tmp_path / name)) for name in "aab"
    )
    for store in (first, again, other):
        store.migrate()
    assert first.owner("ada") == again.owner("ada") != other.owner("ada")
    assert first.owner("ada") != first.owner("bob")
    assert len(first.owner("ada")) == len("own_") + 40
    for store in (first, again, other):
        store.close()


def test_owners_from_before_the_salt_keep_what_is_theirs(store, make_picture, day) -> None:
    """A state of the first version: owners are hashes without a salt, and there is no table."""
    unsalted = "own_" + hashlib.sha256(b"ada").hexdigest()[:40]
    for owner in ("own_" + "0" * 40, unsalted):
        image, _ = store.add_image(owner, "ab" * 32, make_picture(), expires_at=day)
        pending = store.begin_turn(owner, None, image.id, "what is it?")
    with store._db._writing.begin() as connection:
        command.downgrade(alembic(connection), "0001")
    store.migrate()
    ada = store.owner("ada")
    assert ada != unsalted
    assert store.image(ada, image.id).id == image.id
    (conversation,) = store.conversations(ada).conversations
    assert conversation.id == pending.conversation_id


def test_the_salt_is_read_once(lite, tmp_path) -> None:
    assert not lite.salted
    owner = lite.owner("ada")
    assert lite.salted
    with lite._db.write() as session:
        session.execute(text("DELETE FROM secrets"))
    assert lite.owner("ada") == owner


def test_a_lost_salt_is_a_fault_of_the_storage(lite) -> None:
    with lite._db.write() as session:
        session.execute(text("DELETE FROM secrets"))
    with pytest.raises(Refusal, match="salt") as caught:
        lite.owner("ada")
    assert caught.value.code == "storage_unavailable"
