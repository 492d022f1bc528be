"""Several files on their way into one study: what is sent, what is left out, what goes on later."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import BytesIO

import pytest

pytest.importorskip("httpx2", reason="the extra serve is not installed")

from PIL import Image

from vesalius.errors import DatasetError
from vesalius.service.http.study_schemas import StudyOut
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.batch import HEAD, Batch
from vesalius.service.web.client import Sent

MOST = 10_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def picture(grey: int) -> bytes:
    out = BytesIO()
    Image.new("L", (8, 8), grey).save(out, "PNG")
    return out.getvalue()


def file(name: str, data: bytes) -> BytesIO:
    made = BytesIO(data)
    made.name = name
    return made


def archive(members: Mapping[str, bytes]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in members.items():
            zipped.writestr(name, data)
    return out.getvalue()


class FakeApi:
    """Takes pictures; fails as it is told to, an error an upload."""

    def __init__(self, *errors: ApiError | None) -> None:
        self.errors, self.sent, self.opened = list(errors), [], []

    def open_study(self, files: int) -> StudyOut:
        self.opened.append(files)
        return self._study([])

    def upload(self, data: bytes, *, mask: bool, study: str | None) -> Sent:
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.sent.append((data, mask, study))
        return Sent(
            image_id=f"img_{len(self.sent)}", sha256="0", width=8, height=8, kind="png", frames=1,
            modality=None, warnings=[], expires_at=NOW, is_new=data != picture(1),
        )  # fmt: skip

    def set_study(self, image_ids: list[str], *, study_id: str) -> StudyOut:
        return self._study(image_ids)

    def _study(self, image_ids: list[str]) -> StudyOut:
        return StudyOut(
            study_id="std_1", files=2, image_ids=image_ids, series=[], warnings=[],
            created_at=NOW, expires_at=NOW,
        )  # fmt: skip


def test_names_order_files_as_people_count_and_stay_behind() -> None:
    api = FakeApi()
    numbers = (10, 9, 2, 1)
    files = [file(f"DOE^JANE slice {n}.png", picture(n)) for n in numbers]
    batch = Batch.of(files, most=MOST, mask=True)
    assert list(batch.send(api)) == [1, 2, 3, 4]
    assert api.sent == [(picture(n), True, "std_1") for n in sorted(numbers)]
    assert api.opened == [4]
    assert batch.study(api).image_ids == ["img_1", "img_2", "img_3", "img_4"]
    assert batch.new_ids == ["img_2", "img_3", "img_4"]  # the first was there before
    assert batch.notes() == []


def test_numbers_in_a_name_may_be_of_any_length() -> None:
    api = FakeApi()
    digits = "9" * 5000  # Python reads no number of more than 4,300
    names = {f"{digits}.png": picture(4), "010.png": picture(3), "2.png": picture(2)}
    batch = Batch.of([file("all.zip", archive(names))], most=MOST)
    assert list(batch.send(api)) == [1, 2, 3]
    assert [data for data, *_ in api.sent] == [picture(2), picture(3), picture(4)]


def test_an_archive_is_opened_and_what_is_no_picture_left_out() -> None:
    api = FakeApi()
    members = {"a/1.png": picture(1), "a/": b"", "__MACOSX/x": b"no", "readme.txt": b"words"}
    batch = Batch.of([file("x.zip", archive(members)), file("y", picture(2))], most=MOST)
    assert list(batch.send(api)) == [1, 2]
    assert batch.notes() == ["2 files of 4 left out: no picture of a kind that is read here"]


def test_what_is_about_one_file_does_not_stop_the_others() -> None:
    corrupt = ApiError("image_corrupt", "the picture cannot be read", status=422)
    api = FakeApi(None, corrupt, None)
    batch = Batch.of([file(f"{n}", picture(n)) for n in range(3)], most=MOST)
    assert list(batch.send(api)) == [1, 2, 3]
    assert batch.notes() == ["1 file of 3 not taken: the picture cannot be read"]
    assert batch.study(api).image_ids == ["img_1", "img_2"]


def test_after_an_error_of_the_service_the_rest_follows_and_nothing_twice() -> None:
    api = FakeApi(None, ApiError("unreachable", "the service cannot be reached"))
    batch = Batch.of([file(f"{n}", picture(n)) for n in range(3)], most=MOST)
    with pytest.raises(ApiError, match="cannot be reached"):
        list(batch.send(api))
    assert (len(api.sent), batch.total) == (1, 3)
    assert list(batch.send(api)) == [2, 3]
    assert [data for data, *_ in api.sent] == [picture(n) for n in range(3)]
    assert api.opened == [3]


def test_a_single_file_is_sent_whatever_it_is_and_its_error_is_the_services() -> None:
    refusal = ApiError("unsupported_media_type", "this is not PNG", status=415)
    batch = Batch.of([file("x.png", b"words")], most=MOST)
    with pytest.raises(ApiError, match="not PNG"):
        list(batch.send(FakeApi(refusal)))
    api = FakeApi()
    batch = Batch.of([file("x.png", picture(1))], most=MOST)
    assert list(batch.send(api)) == [1]
    assert api.opened == []  # one picture is no study
    assert batch.study(api) is None


def test_the_same_picture_twice_is_no_study() -> None:
    api = FakeApi()
    batch = Batch.of([file("a", picture(1)), file("b", picture(1))], most=MOST)
    list(batch.send(api))
    batch.image_ids = ["img_1", "img_1"]
    assert batch.study(api) is None


def test_an_archive_that_cannot_be_trusted_or_opened_is_refused_whole() -> None:
    swelling = archive({f"{n}.png": bytes(2**27) for n in range(9)})
    with pytest.raises(DatasetError, match="unpacks to"):
        Batch.of([file("x.zip", swelling)], most=MOST)
    whole = archive({"1.png": picture(1), "2.png": picture(2)})
    with pytest.raises(DatasetError, match="cannot be opened"):
        Batch.of([file("x.zip", whole[:60])], most=MOST)


def test_of_a_member_no_more_is_read_than_a_picture_may_have() -> None:
    api = FakeApi()
    large = picture(1) + bytes(50_000)
    batch = Batch.of([file("x.zip", archive({"1": large, "2": picture(2)}))], most=MOST)
    list(batch.send(api))
    assert len(api.sent[0][0]) == MOST + 1  # so the service refuses it, as it would the whole


@pytest.mark.parametrize("torn", [bytes(8), b"\xff" * 8], ids=["checksum", "stream"])
def test_a_member_that_does_not_unpack_is_counted(torn: bytes) -> None:
    data = bytearray(archive({"1.png": picture(1) * 40, "2.png": picture(2), "3.png": picture(3)}))
    at = data.index(b"1.png") + (20 if torn == bytes(8) else 5)
    data[at : at + 8] = torn
    api = FakeApi()
    batch = Batch.of([file("x.zip", bytes(data))], most=MOST)
    list(batch.send(api))
    assert len(api.sent) == 2
    assert batch.notes() == ["1 file of 3 not taken: a member of the archive cannot be unpacked"]


def test_listing_an_archive_does_not_unpack_it(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda self, n=-1: counts.append(n) or read(self, n)
    )
    members = archive({f"{n}.png": picture(n) + bytes(5000) for n in range(5)})
    Batch.of([file("x.zip", members)], most=MOST)
    assert counts == [HEAD] * 5


def test_more_files_than_anybody_asks_about_are_refused_unread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vesalius.service.web.batch.MOST_FILES", 3)
    with pytest.raises(DatasetError, match="these are 4 files"):
        Batch.of([file("x.zip", archive({f"{n}.png": b"" for n in range(4)}))], most=MOST)
