from __future__ import annotations

import pytest
from layouts import drawing, put, put_zip

from vesalius.cases.case import Source
from vesalius.data.reading import album
from vesalius.data.reading.album import Album
from vesalius.errors import DatasetError, ImageError

WHERE = Source("rows.csv", 4)


def test_a_bare_id_finds_its_file_in_a_folder_or_a_zip(tmp_path):
    put(tmp_path / "a" / "X_1.PNG", drawing(1))
    put_zip(tmp_path / "b.zip", {"deep/X_2.jpg": drawing(2), "__MACOSX/X_2.jpg": b"not it"})
    found = Album(tmp_path, [tmp_path / "a", tmp_path / "b.zip"])
    assert found.picture("X_1", WHERE).read() == drawing(1)
    assert found.picture("X_2", WHERE).read() == drawing(2)
    assert found.picture("X_2.jpg", WHERE).key == "b.zip/deep/X_2.jpg"
    assert found.names() == ["X_1.PNG", "deep/X_2.jpg"]


def test_ids_with_dots(tmp_path):
    put(tmp_path / "1.2.840.png", drawing(1))
    assert Album(tmp_path).picture("1.2.840", WHERE).read() == drawing(1)


def test_an_ambiguous_name_in_a_zip_is_not_guessed(tmp_path):
    put_zip(tmp_path / "b.zip", {"a/source.jpg": drawing(1), "b/source.jpg": drawing(2)})
    found = Album(tmp_path, [tmp_path / "b.zip"])
    assert found.picture("b/source.jpg", WHERE).read() == drawing(2)
    with pytest.raises(ImageError, match=r"no such file|Not a directory"):
        found.picture("source.jpg", WHERE).read()


def test_a_member_that_unpacks_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(album, "MEMBER_LIMIT", 10)
    put_zip(tmp_path / "b.zip", {"x.png": drawing(1)})
    picture = Album(tmp_path, [tmp_path / "b.zip"]).picture("x.png", WHERE)
    with pytest.raises(ImageError, match="unpacks to more"):
        picture.read()


def test_a_broken_zip_is_named(tmp_path):
    put(tmp_path / "b.zip", b"PK nothing")
    with pytest.raises(DatasetError, match=r"b.zip: not a readable zip"):
        Album(tmp_path, [tmp_path / "b.zip"]).picture("x", WHERE)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.png", "a/../../x.png", "..\\x.png"])
def test_names_that_lead_out_name_the_row(tmp_path, name):
    with pytest.raises(DatasetError, match=r"rows.csv row 4: the path"):
        Album(tmp_path).picture(name, WHERE)
