from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image
from scans import scan, written

from vesalius.cases.picture import Picture
from vesalius.cases.view import View
from vesalius.errors import ImageError


def encoded(shade: int = 7) -> bytes:
    file = io.BytesIO()
    Image.new("L", (3, 2), shade).save(file, "PNG")
    return file.getvalue()


def test_nothing_is_read_before_somebody_looks():
    reads = []

    def read() -> bytes:
        reads.append(1)
        return encoded()

    picture = Picture("a.png", read)
    assert repr(picture) == "Picture(key='a.png', view=View(frame=None, window=None))"
    assert picture == Picture("a.png", encoded)
    assert not reads
    assert (picture.pixels().size, picture.pixels().mode) == ((3, 2), "RGB")
    assert len(reads) == 2  # nothing is kept either


def test_the_hash_is_of_the_encoded_bytes():
    assert Picture("a", encoded).sha256() == hashlib.sha256(encoded()).hexdigest()


def test_from_a_file(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    assert Picture.from_file(path, "shown/a.png").key == "shown/a.png"
    assert Picture.from_file(path).key == path.as_posix()
    assert Picture.from_file(path).read() == encoded()


def test_a_missing_file_fails_only_when_read(tmp_path):
    picture = Picture.from_file(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match="no such file") as caught:
        picture.pixels()
    assert caught.value.code == "image_missing"


def test_errors_name_the_key_and_keep_the_code():
    with pytest.raises(ImageError, match=r"^lung/3: ") as caught:
        Picture("lung/3", lambda: b"<html>").pixels()
    assert caught.value.code == "unsupported_media_type"


def test_another_frame_has_another_key():
    frames = np.stack([np.full((4, 4), 50 * n, np.uint8) for n in range(3)])
    data = written(scan(frames))
    picture = Picture("scan", lambda: data)
    first, last = picture.at(View(0)), picture.at(View(2))
    assert (first.key, last.key, last.view.frame) == ("scan#frame=0", "scan#frame=2", 2)
    assert last.at(View(1)).key == "scan#frame=1"
    assert last.at(View(None)) == picture
    assert [p.pixels().getpixel((0, 0))[0] for p in (first, picture, last)] == [0, 50, 100]
    with pytest.raises(ImageError, match=r"^scan#frame=3: there is no frame 3"):
        picture.at(View(3)).pixels()


def test_a_window_is_applied():
    data = written(scan(np.array([[0, 1000], [2000, 3000]], np.uint16)))
    shown = Picture("scan", lambda: data).at(View(None, (1000, 2))).pixels()
    assert np.asarray(shown)[..., 0].tolist() == [[0, 255], [255, 255]]


def test_a_window_of_what_has_none_is_a_warning():
    shown = Picture("a.png", encoded).at(View(window=(40, 400))).decoded()
    assert shown.warnings == ("only a DICOM picture has a window",)


def test_another_window_has_another_key():
    picture = Picture("scan", lambda: b"")
    lung, bone = picture.at(View(2, (-600, 1500))), picture.at(View(2, (400.5, 1800)))
    assert lung.key == "scan#frame=2#window=-600,1500"
    assert bone.key == "scan#frame=2#window=400.5,1800"
    assert bone.at(View(None, (40, 400))).key == "scan#window=40,400"
    assert bone.at(View(None)).key == "scan"


@pytest.mark.parametrize(
    "view", [View(), View(0), View(12, (40.0, 400.0)), View(None, (-0.5, 1e-9))]
)
def test_a_key_names_its_view(view):
    assert View.in_key(Picture("a#b.dcm", lambda: b"").at(view).key) == view


def test_a_picture_never_changes():
    with pytest.raises(AttributeError):
        Picture("a", encoded).key = "b"
