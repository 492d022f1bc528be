"""Images: idempotent uploads, owners that never meet, deletion."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image as Pillow

from vesalius.cases.view import View
from vesalius.errors import Refusal

SHA = "ab" * 32


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


def files(tmp_path: Path) -> list[str]:
    return sorted(p.name for p in (tmp_path / "pictures").rglob("*") if p.is_file())


def test_an_owner_has_a_quota_and_what_is_over_it_leaves_nothing(
    store, make_picture, day, clock, tmp_path
) -> None:
    """Two pictures of 9 bytes are 18 of 20: a third does not fit."""
    for number in (1, 2):
        store.add_image("ada", f"{number:064x}", make_picture(), expires_at=day, quota=20)
    kept = files(tmp_path)
    third = {"picture": make_picture(), "expires_at": day, "quota": 20}
    assert code(lambda: store.add_image("ada", SHA, **third)) == "quota_exceeded"
    assert files(tmp_path) == kept
    store.add_image("bob", SHA, **third)
    clock.forward(days=2)
    store.sweep()
    assert store.add_image("ada", SHA, **third | {"expires_at": clock.now + timedelta(days=1)})[1]


def test_an_image_is_what_was_kept_of_it(store, make_picture, day, clock) -> None:
    given = make_picture(frames=7, modality="CT", warnings=("window chosen",), burned_in=True)
    image, created = store.add_image("ada", SHA, given, expires_at=day)
    assert created
    assert store.image("ada", image.id) == image
    assert (image.frames, image.modality, image.warnings) == (7, "CT", ("window chosen",))
    assert (image.width, image.height, image.size) == (4, 3, len(given.data))
    assert (image.burned_in, image.created_at, image.expires_at) == (True, clock.now, day)
    assert store.read_picture(image) == given.data


def test_an_id_has_at_least_128_random_bits_and_names_the_file(
    store, make_picture, day, tmp_path
) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    assert image.id.startswith("img_")
    assert len(bytes.fromhex(image.id.removeprefix("img_"))) * 8 >= 128
    assert files(tmp_path) == [f"{image.id}.png"]


def test_the_same_upload_is_the_same_image_and_its_expiry_moves_back(
    store, make_picture, day
) -> None:
    first, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    later = day + timedelta(hours=5)
    again, created = store.add_image("ada", SHA, make_picture(), expires_at=later)
    assert not created
    assert again.id == first.id
    assert again.expires_at == store.image("ada", first.id).expires_at == later
    assert store.known_image("ada", SHA, expires_at=day).expires_at == later  # never forward


def test_owners_and_variants_share_nothing(store, make_picture, day) -> None:
    ids = {
        store.add_image(owner, SHA, make_picture(), expires_at=day, variant=variant)[0].id
        for owner in ("ada", "bob")
        for variant in ("", "masked")
    }
    assert len(ids) == 4


def test_after_its_expiry_an_upload_is_a_new_image(
    store, make_picture, day, clock, tmp_path
) -> None:
    old, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    clock.forward(days=2)
    assert code(lambda: store.image("ada", old.id)) == "image_expired"
    new, created = store.add_image("ada", SHA, make_picture(), expires_at=day + timedelta(days=2))
    assert created
    assert new.id != old.id
    assert code(lambda: store.image("ada", old.id)) == "image_expired"
    assert files(tmp_path) == [f"{new.id}.png"]


def test_an_upload_whose_file_was_lost_starts_anew(lite, make_picture, day, tmp_path) -> None:
    old, _ = lite.add_image("ada", SHA, make_picture(), expires_at=day)
    next((tmp_path / "pictures").rglob("*.png")).unlink()
    assert code(lambda: lite.read_picture(old)) == "image_expired"
    new, created = lite.add_image("ada", SHA, make_picture(), expires_at=day)
    assert created
    assert lite.read_picture(new) == make_picture().data


def test_another_owners_id_is_answered_as_one_that_never_was(store, make_picture, day) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    refusals = []
    for image_id in (image.id, "img_" + "0" * 40, "", "\0", "img_\ud800", image.id + "\n"):
        with pytest.raises(Refusal) as caught:
            store.image("bob", image_id)
        refusals.append((caught.value.code, str(caught.value)))
    assert len(set(refusals)) == 1
    assert refusals[0][0] == "not_found"
    assert code(lambda: store.delete_image("bob", image.id)) == "not_found"
    assert store.image("ada", image.id) == image


def test_deleting_removes_file_and_row_and_leaves_the_text(
    store, make_picture, day, tmp_path
) -> None:
    image, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    pending = store.begin_turn("ada", None, image.id, "what is it?")
    assert pending.image_state == "stored"
    store.delete_image("ada", image.id)
    assert files(tmp_path) == []
    assert code(lambda: store.image("ada", image.id)) == "not_found"
    assert code(lambda: store.delete_image("ada", image.id)) == "not_found"
    assert code(lambda: store.read_picture(image)) == "image_expired"
    (turn,) = store.conversation("ada", pending.conversation_id).turns
    assert (turn.question, turn.image_id, turn.image_state) == ("what is it?", image.id, "deleted")


def test_a_picture_is_read_lazily_and_by_another_process(lite, make_picture, day) -> None:
    drawn = BytesIO()
    Pillow.new("RGB", (4, 3), (10, 20, 30)).save(drawn, "png")
    image, _ = lite.add_image(
        "ada", SHA, make_picture(drawn.getvalue().decode("latin-1")), expires_at=day
    )
    picture = pickle.loads(pickle.dumps(lite.picture(image)))
    assert picture.read() == lite.read_picture(image)
    lite.delete_image("ada", image.id)
    assert code(picture.pixels) == "image_expired"


def test_a_pictures_key_is_of_content_and_owner(lite, make_picture, day) -> None:
    # Two files (their hashes differ) that are the same picture once re-encoded.
    one, _ = lite.add_image("ada", SHA, make_picture(), expires_at=day)
    two, _ = lite.add_image("ada", "cd" * 32, make_picture(), expires_at=day)
    foreign, _ = lite.add_image("bob", SHA, make_picture(), expires_at=day)
    other, _ = lite.add_image("ada", "ef" * 32, make_picture("another"), expires_at=day)
    keys = [lite.picture(image).key for image in (one, two, foreign, other)]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    chosen = lite.picture(one, View(3, (40.0, 400.0)))
    assert chosen.key == f"{keys[0]}#frame=3#window=40,400"
    assert chosen.view == View(3, (40.0, 400.0))


def test_threads_that_upload_at_once_get_one_image(store, make_picture, day, tmp_path) -> None:
    def upload(_: int) -> tuple[str, bool]:
        image, created = store.add_image("ada", SHA, make_picture(), expires_at=day)
        return image.id, created

    with ThreadPoolExecutor(8) as pool:
        uploads = list(pool.map(upload, range(16)))
    assert len({image_id for image_id, _ in uploads}) == 1
    assert [created for _, created in uploads].count(True) == 1
    assert len(files(tmp_path)) == 1


def test_which_of_many_images_are_still_kept(store, make_picture, day, clock) -> None:
    """Neither what expired, nor what was deleted, nor what never was; more than one query."""
    old, _ = store.add_image("ada", SHA, make_picture(), expires_at=day)
    young, _ = store.add_image("bob", SHA, make_picture(), expires_at=day + timedelta(days=1))
    deleted, _ = store.add_image("eve", SHA, make_picture(), expires_at=day + timedelta(days=1))
    store.delete_image("eve", deleted.id)
    never = [f"img_{number}" for number in range(1200)]
    named = [old.id, *never, deleted.id, young.id]
    assert store.living_of(named) == {old.id, young.id}
    clock.forward(days=1)
    assert store.living_of(named) == {young.id}
    assert store.living_of([]) == set()
