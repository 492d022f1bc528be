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
    with pytest.raises(ImageError, match=r"2 files answer to it: a/source.jpg, b/source.jpg"):
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


SAME = [
    ("a/X.PNG", "a/X.png"),
    ("a/X.png", "a\\X.png"),
    ("a/X.png", "./a//X.PNG"),
    ("a/X.png", "a/b/../X.png"),
    ("a/X.png", "b/../a/X.png"),
    ("é/é.png", "e\u0301/e\u0301.png"),
    ("e\u0301/e\u0301.JPG", "é/é.jpg"),
    ("a/b/X.tiff", "a/b/X"),
    ("a/1.2.840.dcm", "a/1.2.840"),
]


@pytest.mark.parametrize(("file", "name"), SAME)
@pytest.mark.parametrize("archived", [False, True])
def test_one_file_written_in_several_ways(tmp_path, file, name, archived):
    places = []
    if archived:
        places = [put_zip(tmp_path / "b.zip", {f"deep/{file}": drawing(1), "other.png": b"x"})]
    else:
        put(tmp_path / file, drawing(1))
    assert Album(tmp_path, places).picture(name, WHERE).read() == drawing(1)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("p7.png", "p7.2"),
        ("p8.png", "p8.jpg"),
        ("p8.jpg", "p8.jpeg"),
        ("p8.png.jpg", "p8.png"),
        ("a/p9.png", "p9.png"),
        ("a/p9.png", "p9"),
        ("p9.png", "a/p9.png"),
        ("A.png", "a.png"),
        ("p7.png", "p7.nii"),
        ("p10.png", "p1"),
        ("é.png", "e.png"),
    ],
)
def test_another_file_is_never_taken_for_a_missing_one(tmp_path, file, name):
    put(tmp_path / file, drawing(1))
    with pytest.raises(ImageError, match="no such file") as told:
        Album(tmp_path).picture(name, WHERE).read()
    assert told.value.code == "image_missing"


def test_a_file_of_another_case_or_ending_is_told(tmp_path):
    put(tmp_path / "a" / "Scan.png", drawing(1))
    for name in ("a/scan.png", "a/Scan.jpg"):
        with pytest.raises(ImageError, match=r"no such file; there is Scan\.png"):
            Album(tmp_path).picture(name, WHERE).read()


def test_what_fits_two_files_names_both(tmp_path):
    for name in ("s3.png", "s3.tif", "x.Png", "x.PNG"):
        put(tmp_path / "a" / name, drawing(1))
    for name, files in (("a/s3", "a/s3.png, a/s3.tif"), ("a/x.png", "a/x.PNG, a/x.Png")):
        with pytest.raises(ImageError, match=files) as told:
            Album(tmp_path).picture(name, WHERE).read()
        assert told.value.code == "image_ambiguous"
    assert Album(tmp_path).picture("a/x.Png", WHERE).read() == drawing(1)


@pytest.mark.parametrize("name", ["a\0.png", "x" * 5000, "folder.png", "a/" * 500 + "b.png"])
def test_what_can_be_no_picture_is_missing(tmp_path, name):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ImageError, match="no such file") as told:
        Album(tmp_path).picture(name, WHERE).read()
    assert len(str(told.value)) < 500
    assert str(told.value).isprintable()


def test_a_web_address_is_not_fetched(tmp_path):
    with pytest.raises(DatasetError, match=r"row 4: a web address.*nothing is fetched"):
        Album(tmp_path).picture("https://example.org/a.png", WHERE)


def test_a_table_may_lead_to_the_named_folder_by_dots(tmp_path):
    put(tmp_path / "images" / "a.png", drawing(1))
    base = tmp_path / "tables"
    base.mkdir()
    found = Album(tmp_path, [base / "../images", base], base)
    assert found.picture("../images/a.png", WHERE).read() == drawing(1)
    with pytest.raises(DatasetError, match="leads out"):
        found.picture("../secret/a.png", WHERE)


def test_a_folder_or_a_broken_link_is_not_told_as_another_file(tmp_path):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "b.png").symlink_to("nowhere.png")
    for name in ("a.png", "b.png"):
        with pytest.raises(ImageError, match=r"there is no such file$"):
            Album(tmp_path).picture(name, WHERE).read()


def test_a_file_address_is_no_web_address(tmp_path):
    with pytest.raises(DatasetError, match="write the path alone"):
        Album(tmp_path).picture("file:///a/1.png", WHERE)
