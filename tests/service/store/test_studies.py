"""Studies as they are stored: owners, pictures that go, a share of the storage, retention."""

from __future__ import annotations

from datetime import timedelta

import pytest

from vesalius.cases.display import Display
from vesalius.cases.series import SeriesPlace
from vesalius.errors import Refusal


def code(call) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.code


@pytest.fixture
def add(store, make_picture, day):
    def added(name: str, hours: float = 0, **facts: object) -> str:
        expires = day + timedelta(hours=hours)
        picture = make_picture(name, **facts)
        return store.add_image("ada", name.ljust(64, "0"), picture, expires_at=expires)[0].id

    return added


def test_pictures_stand_in_the_order_they_were_named_in(store, add, day) -> None:
    b, a = add("b", hours=2), add("a")
    made = store.set_study("ada", [b, a, b], current=a)
    assert [one.id for one in made.images] == [b, a]
    assert (made.files, made.repeats, made.current) == (3, 1, a)
    assert made.expires_at == day + timedelta(hours=2)  # of the picture that stays longest
    assert store.study("ada", made.id) == made
    again = store.set_study("ada", [a], study_id=made.id)
    assert (again.id, [one.id for one in again.images], again.current) == (made.id, [a], None)


def test_another_s_is_not_there(store, add) -> None:
    made = store.set_study("ada", [add("a")])
    assert code(lambda: store.study("bob", made.id)) == "not_found"
    assert code(lambda: store.delete_study("bob", made.id)) == "not_found"
    assert code(lambda: store.set_study("bob", [made.images[0].id])) == "not_found"
    assert code(lambda: store.study("ada", "std_x")) == "not_found"
    assert store.files_of_study("bob", made.id) is None
    assert store.files_of_study("ada", made.id) == 1


def test_what_is_deleted_or_expired_is_in_no_study(store, add, clock) -> None:
    a, b, c = add("a"), add("b", hours=1), add("c", hours=2)
    made = store.set_study("ada", [a, b, c])
    store.delete_image("ada", c)
    clock.forward(hours=24, minutes=1)
    assert [one.id for one in store.study("ada", made.id).images] == [b]
    swept = store.sweep()
    assert (swept.images, swept.studies) == (1, 0)
    clock.forward(hours=2)
    swept = store.sweep()
    assert (swept.images, swept.studies) == (1, 1)
    assert code(lambda: store.study("ada", made.id)) == "not_found"


def test_studies_have_a_share_and_one_that_went_makes_room(store, day, monkeypatch) -> None:
    monkeypatch.setattr("vesalius.service.store.studies.MOST", 2)
    first, _ = (store.open_study("ada", 3, expires_at=day) for _ in range(2))
    assert code(lambda: store.open_study("ada", 3, expires_at=day)) == "quota_exceeded"
    store.open_study("bob", 3, expires_at=day)
    store.delete_study("ada", first.id)
    assert store.open_study("ada", 3, expires_at=day).images == ()


def test_a_study_whose_time_is_over_holds_no_picture_back(store, add, clock) -> None:
    a, b = add("a"), add("b")
    made = store.set_study("ada", [a, b])
    assert store.study_ids("ada", [a, b]) == {a: made.id, b: made.id}
    assert store.study_ids("bob", [a, b]) == {}
    clock.forward(hours=23)
    assert add("a", hours=23) == a  # sent again, it stays for longer than the study
    clock.forward(hours=2)
    assert code(lambda: store.study("ada", made.id)) == "not_found"
    assert store.study_ids("ada", [a]) == {}
    assert [one.id for one in store.uploads("ada", alone=True).images] == [a]
    assert store.uploads("ada", alone=False).images == ()


def test_a_picture_that_takes_another_s_place_stands_there_once(store, add) -> None:
    old, new, other = add("a"), add("b"), add("c")
    alone, both = (
        store.set_study("ada", [other, old], current=old),
        store.set_study("ada", [new, old]),
    )
    store.replace_image(store.image("ada", old), store.image("ada", new))
    study = store.study("ada", alone.id)
    assert ([one.id for one in study.images], study.current, study.repeats) == (
        [other, new],
        new,
        0,
    )
    study = store.study("ada", both.id)
    assert ([one.id for one in study.images], study.files, study.repeats) == ([new], 2, 1)


def test_what_a_header_said_is_kept_and_goes_with_the_picture(store, add, clock) -> None:
    place = SeriesPlace("p", "s", "a", 7, 12.5, (0.0, 0.0, 1.0), 3)
    display = Display((40.0, 80.0), ("R", "L", "A", "P"), (0.5, 0.5), 10.0)
    image_id = add("a", place=place, display=display, text=((1, 2, 3, 4),))
    image = store.image("ada", image_id)
    assert (image.place, image.display, image.text) == (place, display, ((1, 2, 3, 4),))
    clock.forward(days=2)
    store.sweep()
    with store._db.read() as session:
        from vesalius.service.store.tables import ImageRow

        row = session.get(ImageRow, image_id)
        assert (row.place, row.display, row.text) == (None, None, None)


def test_keys_of_places_are_an_owner_s_and_a_state_s(store) -> None:
    assert store.series_key("ada") == store.series_key("ada")
    assert store.series_key("ada") != store.series_key("bob")
    assert len(store.series_key("ada")) == 32
