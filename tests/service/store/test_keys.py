"""Keys: shown once, kept as a hash, revoked at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from vesalius.errors import Refusal
from vesalius.service.store import keys


def test_a_secret_opens_until_it_is_revoked(store, clock) -> None:
    key, secret = store.create_key("ward 3", may_act_for_others=True, rate_per_minute=30)
    assert secret.startswith(f"vsk_{key.id.removeprefix('key_')}_")
    assert (key.owner, key.may_act_for_others, key.rate_per_minute) == (key.id, True, 30)
    assert store.authenticate(secret).id == key.id
    revoked = store.revoke_key(key.id)
    assert revoked.revoked_at == clock.now
    assert store.authenticate(secret) is None
    clock.forward(hours=1)
    assert store.revoke_key(key.id) == store.list_keys()[0]
    assert store.list_keys()[0].revoked_at == revoked.revoked_at  # the first time holds


def test_a_rotated_key_has_the_same_owner_and_rights_and_the_old_one_ends(store, clock) -> None:
    key, old = store.create_key("page", may_act_for_others=True, rate_per_minute=30)
    second, new = store.rotate_key(key.id)
    assert (second.owner, second.may_act_for_others, second.rate_per_minute) == (key.id, True, 30)
    assert store.authenticate(old) is None
    assert store.authenticate(new).owner == key.owner
    third, _ = store.rotate_key(second.id, overlap=timedelta(minutes=10))
    assert store.authenticate(new) is not None
    clock.forward(minutes=10)
    assert store.authenticate(new) is None
    assert third in store.list_keys()


def test_what_has_ended_is_not_rotated(store) -> None:
    key, _ = store.create_key("page")
    store.revoke_key(key.id)
    with pytest.raises(Refusal, match="has ended"):
        store.rotate_key(key.id)
    with pytest.raises(Refusal) as unknown:
        store.rotate_key("key_0")
    assert unknown.value.code == "not_found"
    assert len(store.list_keys()) == 1


def test_a_key_that_is_to_end_can_be_revoked_at_once(store, clock) -> None:
    key, secret = store.create_key("page")
    store.rotate_key(key.id, overlap=timedelta(hours=1))
    assert store.revoke_key(key.id).revoked_at == clock.now
    assert store.authenticate(secret) is None


def test_what_is_no_secret_opens_nothing(store) -> None:
    key, secret = store.create_key("a")
    _, other = store.create_key("b")
    mixed = f"vsk_{key.id.removeprefix('key_')}_{other.split('_', 2)[2]}"
    wrong = ("", "vsk", "vsk_", "vsk__", "vsk_x_y", secret[:-1], secret + "x", secret.upper())
    strange = (mixed, "vsk_\0_x", "vsk_é_\ud800", key.id, "x" * 100_000, f"Bearer {secret}")
    for guess in (*wrong, *strange):
        assert store.authenticate(guess) is None


def test_every_guess_is_compared_in_constant_time(lite, monkeypatch) -> None:
    _, secret = lite.create_key("a")
    compared = []
    real = keys.hmac.compare_digest
    monkeypatch.setattr(
        keys.hmac, "compare_digest", lambda a, b: compared.append((len(a), len(b))) or real(a, b)
    )
    lite.authenticate(secret)
    lite.authenticate("vsk_unknown_x")
    lite.authenticate("nonsense")
    assert compared == [(64, 64)] * 3


def test_no_secret_is_in_the_files(lite, tmp_path) -> None:
    _, secret = lite.create_key("a")
    lite.authenticate(secret)
    held = b"".join(path.read_bytes() for path in Path(tmp_path).glob("vesalius.db*"))
    assert secret.encode() not in held
    assert secret.split("_", 2)[2].encode() not in held


def test_the_last_use_is_true_to_the_hour(store, clock) -> None:
    _, secret = store.create_key("a")
    first = clock.now
    store.authenticate(secret)
    clock.forward(minutes=59)
    store.authenticate(secret)
    assert store.list_keys()[0].last_used_at == first
    clock.forward(minutes=2)
    store.authenticate(secret)
    assert store.list_keys()[0].last_used_at == clock.now


def test_a_key_that_cannot_note_its_use_still_opens(lite, monkeypatch) -> None:
    _, secret = lite.create_key("a")

    def full():
        raise Refusal("storage_full", "no room")

    monkeypatch.setattr(lite._db, "write", full)
    assert lite.authenticate(secret) is not None


def test_keys_of_one_owner_share_what_is_the_owners(store) -> None:
    one, _ = store.create_key("phone", owner="ada")
    two, _ = store.create_key("desk", owner="ada")
    assert one.owner == two.owner == "ada"
    assert [k.name for k in store.list_keys()] in (["phone", "desk"], ["desk", "phone"])


def test_no_such_key(store) -> None:
    with pytest.raises(Refusal) as caught:
        store.revoke_key("key_x")
    assert caught.value.code == "not_found"
