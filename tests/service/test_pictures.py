"""Pictures in, over HTTP: hostile files, what is kept of them, views, deletion."""

from __future__ import annotations

import json
import time
from contextlib import closing
from io import BytesIO
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image
from serving import Serving, png, serving, until

from hostile import SECRETS, hostile, scan, written
from vesalius.cases.image import decode
from vesalius.cases.reencode import Reencoded
from vesalius.cases.view import View
from vesalius.service.chat.intake import LATER
from vesalius.service.storage import open_store

TYPES = ("image/png", "application/octet-stream")
PLAIN = {"text_in_dicom": "off", "rate_per_minute": 100_000}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """A service that looks for no text: tests of that have their own."""
    with serving(tmp_path_factory.mktemp("state"), **PLAIN) as running:
        yield running


def stored(api: Serving) -> bytes:
    """Everything in the service's folders."""
    folder = api.service.settings.state
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", sorted(hostile()))
def test_hostile_files_get_their_status_whatever_they_claim_to_be(
    plain: Serving, name: str, kind: str
) -> None:
    data, status, code = hostile()[name]
    answer = plain.client.post("/upload_image", files={"image_file": ("scan.png", data, kind)})
    if status == 201:
        assert answer.status_code in {200, 201}, answer.text
        image_id = answer.json()["image_id"]
        view = plain.client.get(f"/images/{image_id}")
        assert view.status_code == 200
        with Image.open(BytesIO(view.content)) as image:
            assert image.size == (answer.json()["width"], answer.json()["height"])
    else:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"


def test_nothing_planted_in_a_hostile_file_is_stored_or_told(plain: Serving) -> None:
    answers = b""
    for data, _, _ in hostile().values():
        answers += plain.upload(data).content
    files = stored(plain)
    for secret in SECRETS:
        assert secret.encode() not in files, secret
        assert secret.encode() not in answers, secret


@pytest.mark.parametrize("kind", TYPES)
def test_every_shared_bad_input_has_the_status_its_manifest_expects(
    plain: Serving, shared: Path, kind: str
) -> None:
    manifest = json.loads((shared / "bad_inputs" / "manifest.json").read_text())
    wrong = []
    for name, entry in manifest.items():
        data = (shared / "bad_inputs" / "files" / name).read_bytes()
        answer = plain.client.post("/upload_image", files={"file": (name, data, kind)})
        expected = entry["expect"]["status"]
        allowed = expected if isinstance(expected, list) else [expected]
        status = 201 if answer.status_code == 200 else answer.status_code
        code = None if status == 201 else answer.json()["code"]
        if status not in allowed or (entry["expect"]["code"] or code) != code:
            wrong.append((name, answer.status_code, code))
    assert wrong == []


def test_the_same_bytes_give_the_same_id(plain: Serving) -> None:
    first, again = plain.upload(png(1)), plain.upload(png(1))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["image_id"] == again.json()["image_id"]
    assert len(first.json()["image_id"].removeprefix("img_")) * 4 >= 128


def test_the_picture_shown_is_the_picture_decoded(plain: Serving) -> None:
    data = png(2, (64, 40))
    view = plain.client.get(f"/images/{plain.image_id(data)}")
    with Image.open(BytesIO(view.content)) as image:
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(decode(data).image))


def test_a_small_picture_is_the_same_one_smaller(plain: Serving) -> None:
    url = f"/images/{plain.image_id(png(5, (64, 40)))}"
    with Image.open(BytesIO(plain.client.get(url, params={"side": 16}).content)) as image:
        assert image.size == (16, 10)
    for side in ("0", "15", "4000", "many"):
        assert plain.client.get(url, params={"side": side}).status_code == 422


def test_what_an_upload_told_can_be_asked_again(plain: Serving) -> None:
    upload = plain.upload(png(4)).json()
    url = f"/images/{upload['image_id']}"
    assert plain.client.get(url, headers={"Accept": "application/json"}).json() == upload


def test_frames_and_windows_of_dicom_are_those_of_the_decoder(plain: Serving) -> None:
    data = next(
        d
        for name, (d, s, _) in hostile().items()
        if "frame" in name and d[128:132] == b"DICM" and s == 201
    )
    uploaded = plain.upload(data).json()
    assert uploaded["frames"] > 1
    url = f"/images/{uploaded['image_id']}"
    for frame in (0, uploaded["frames"] - 1):
        view = plain.client.get(url, params={"frame": frame, "centre": 40, "width": 400})
        expected = decode(data, View(frame, (40.0, 400.0))).image
        with Image.open(BytesIO(view.content)) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(expected))
    beyond = plain.client.get(url, params={"frame": uploaded["frames"]})
    assert (beyond.status_code, beyond.json()["code"]) == (422, "image_frame")
    half = plain.client.get(url, params={"centre": 40})
    assert (half.status_code, half.json()["code"]) == (422, "image_window")


def test_a_window_is_refused_where_there_is_none(plain: Serving) -> None:
    refused = plain.client.get(f"/images/{plain.image_id()}", params={"centre": 1, "width": 2})
    assert (refused.status_code, refused.json()["code"]) == (422, "image_window")


def test_a_deleted_picture_is_gone_and_what_was_said_stays(plain: Serving) -> None:
    image_id = plain.image_id(png(3))
    answer = plain.ask(image_id=image_id, question="is it there?").json()
    assert plain.client.delete(f"/images/{image_id}").status_code == 204
    assert plain.client.get(f"/images/{image_id}").json()["code"] == "not_found"
    assert plain.client.delete(f"/images/{image_id}").status_code == 404
    transcript = plain.client.get(f"/conversations/{answer['conversation_id']}").json()
    assert transcript["messages"][0]["answer"] == answer["answer"]
    assert transcript["messages"][0]["image_state"] == "deleted"


def test_an_expired_picture_says_so(tmp_path: Path) -> None:
    with serving(tmp_path, image_hours=1e-6) as api:
        image_id = api.image_id()
        expired = api.client.get(f"/images/{image_id}")
        assert (expired.status_code, expired.json()["code"]) == (404, "image_expired")
        refused = api.ask(image_id=image_id, question="still there?")
        assert refused.json()["code"] == "image_expired"


def test_what_is_deleted_or_expired_is_forgotten_by_the_engine(tmp_path: Path) -> None:
    with serving(tmp_path, image_hours=5 / 3600, sweep_seconds=0.2) as api:
        forgotten: list[str] = []
        api.service.engine.forget = forgotten.append
        first, second = api.image_id(png(5)), api.image_id(png(6))
        for image_id in (first, second):
            assert api.ask(image_id=image_id, question="kept?").status_code == 200
        api.client.delete(f"/images/{first}")
        assert len(forgotten) == 1
        until(lambda: len(set(forgotten)) == 2, seconds=30)


def test_what_another_process_deleted_is_forgotten_too(tmp_path: Path) -> None:
    with serving(tmp_path, sweep_seconds=0.2) as api:
        forgotten: list[str] = []
        api.service.engine.forget = forgotten.append
        first, second = api.image_id(png(5)), api.image_id(png(6))
        for image_id in (first, second):
            assert api.ask(image_id=image_id, question="kept?").status_code == 200
        with closing(open_store(api.service.settings)) as elsewhere:
            owner = elsewhere.owner("local\n")
            key = elsewhere.picture(elsewhere.image(owner, first)).key
            elsewhere.delete_image(owner, first)
        until(lambda: forgotten, seconds=10)
        time.sleep(0.5)  # two more sweeps
        assert forgotten == [key]


def test_burned_in_text_is_told_or_blackened_by_policy(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    name = next(name for name in hostile() if "burned" in name)
    data = hostile()[name][0]
    with serving(tmp_path / "flag", text_in_pictures="flag") as api:
        flagged = api.upload(data).json()
        assert any("was found" in warning for warning in flagged["warnings"])
        before = api.client.get(f"/images/{flagged['image_id']}").content
    with serving(tmp_path / "mask", text_in_pictures="mask") as api:
        masked = api.upload(data).json()
        assert any("was covered" in warning for warning in masked["warnings"])
        after = api.client.get(f"/images/{masked['image_id']}").content
    with serving(tmp_path / "asked") as api:  # off by policy, asked for by the caller
        plain = api.upload(data).json()

        def wish(mask: str) -> httpx2.Response:
            parts = {"files": {"file": data}, "data": {"mask": mask}}
            return api.client.post("/upload_image", **parts)

        covered = wish("true").json()
        assert covered["image_id"] != plain["image_id"]
        assert any("was covered" in warning for warning in covered["warnings"])
        assert api.client.get(f"/images/{covered['image_id']}").content == after
        wrong = wish("perhaps")
        assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_request")
    with serving(tmp_path / "later", text_in_pictures="later") as api:
        answer = api.upload(data).json()
        assert answer["warnings"] == [LATER]
        address = f"/images/{answer['image_id']}"

        def warnings() -> list[str]:
            told = api.client.get(address, headers={"Accept": "application/json"})
            return told.json()["warnings"]

        until(lambda: LATER not in warnings(), seconds=60)
        assert warnings() == flagged["warnings"]
        assert api.client.get(address).content == before
    light = [
        np.asarray(Image.open(BytesIO(content)).convert("L")).astype(int).sum()
        for content in (before, after)
    ]
    assert light[1] < light[0]


def test_writing_has_places_and_is_covered_in_a_kept_picture(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    data = next(data for name, (data, *_) in hostile().items() if "burned" in name)
    with serving(tmp_path, text_in_pictures="flag") as api:
        flagged, other = api.upload(data).json(), api.image_id()
        (box,) = flagged["text"][:1]
        assert 0 <= box["x"] < box["x"] + box["width"] <= flagged["width"]
        assert 0 <= box["y"] < box["y"] + box["height"] <= flagged["height"]
        ids = [other, flagged["image_id"]]
        study = api.client.post("/studies", json={"image_ids": ids}).json()["study_id"]
        answer = api.client.post(f"/images/{flagged['image_id']}/cover")
        covered = answer.json()
        assert (answer.status_code, covered["text"]) == (201, [])
        assert covered["expires_at"] == flagged["expires_at"]
        (warning,) = (one for one in covered["warnings"] if "text" in one)
        assert f"was covered in {len(flagged['text'])} place" in warning
        assert api.client.get(f"/images/{flagged['image_id']}").status_code == 404
        assert api.client.get(f"/studies/{study}").json()["image_ids"] == [
            other, covered["image_id"],
        ]  # fmt: skip
        with Image.open(BytesIO(api.client.get(f"/images/{covered['image_id']}").content)) as png:
            x, y = box["x"] + box["width"] // 2, box["y"] + box["height"] // 2
            assert np.max(np.asarray(png.convert("RGB"))[y, x]) == 0
        again = api.client.post(f"/images/{covered['image_id']}/cover").json()
        assert again["image_id"] == covered["image_id"]  # nothing is left to be covered
        missing = api.client.post("/images/img_nobody/cover")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


def test_one_owner_does_not_fill_the_storage(tmp_path: Path) -> None:
    noise = [png(seed, size=(600, 500)) for seed in range(3)]  # .9 MB each: noise is not packed
    with serving(tmp_path, keys="on", owner_mib=2) as api:
        ann, bob = (
            {"Authorization": f"Bearer {api.service.store.create_key(name)[1]}"}
            for name in ("ann", "bob")
        )
        first, second, third = (api.upload(data, headers=ann) for data in noise)
        assert [answer.status_code for answer in (first, second, third)] == [201, 201, 507]
        assert third.json()["code"] == "quota_exceeded"
        assert "have 1.7 of 2 MiB here already, and this one needs 0.9" in third.json()["detail"]
        assert api.upload(noise[2], headers=bob).status_code == 201
        assert api.upload(noise[0], headers=ann).status_code == 200  # it is here already
        api.client.delete(f"/images/{first.json()['image_id']}", headers=ann)
        assert api.upload(noise[2], headers=ann).status_code == 201


def test_text_is_not_looked_for_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    with serving(tmp_path, owner_mib=1, text_in_pictures="mask") as api:
        read: list[bool] = []
        readers = api.service.intake._readers

        def read_text(picture: Reencoded, mask: bool) -> tuple[Reencoded, list[tuple[int, ...]]]:
            read.append(mask)
            return picture, []

        monkeypatch.setattr(readers, "run", read_text)
        large = png(size=(700, 600))  # 1.3 MB
        assert api.upload(large).json()["code"] == "quota_exceeded"
        assert read == []
        assert api.upload(png()).status_code == 201
        assert read == [True]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"files": {"other": png()}}, "invalid_multipart"),
        ({"files": {"image_file": b""}}, "unsupported_media_type"),
        ({"files": [("image_file", png(1)), ("file", png(2))]}, "invalid_multipart"),
        ({"files": {"image_file": png()}, "data": {"note": "x"}}, "invalid_multipart"),
        ({"json": {"image_file": "x"}}, "unsupported_body"),
        ({"content": png(), "headers": {"content-type": "image/png"}}, "unsupported_body"),
    ],
)
def test_an_upload_is_one_file_in_a_form(plain: Serving, form: dict, code: str) -> None:
    answer = plain.client.post("/upload_image", **form)
    assert 400 <= answer.status_code < 500
    assert answer.json()["code"] == code


def test_a_window_is_asked_for_in_either_way(plain: Serving) -> None:
    image_id = plain.image_id(hostile()["five_frames.dcm"][0])
    url = f"/images/{image_id}"
    own = plain.client.get(url).content
    one = plain.client.get(url, params={"window": "900,200"}).content
    assert one == plain.client.get(url, params={"centre": 900, "width": 200}).content != own
    for wrong in ({"window": "900"}, {"window": "1,2,3"}, {"window": "900,0"}, {"window": "a,b"}):
        assert plain.client.get(url, params=wrong).status_code == 422
    twice = {"window": "900,200", "centre": 900, "width": 200}
    assert plain.client.get(url, params=twice).json()["code"] == "image_window"
    flat = plain.image_id()
    answer = plain.client.get(f"/images/{flat}", params={"window": "900,200"})
    assert answer.json()["code"] == "image_window"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("application/json, image/png;q=0.5", "application/json"),
        ("image/png, application/json;q=0.1", "image/png"),
        ("application/json, text/plain, */*", "image/png"),
        ("*/*", "image/png"),
        ("application/json;q=x", "image/png"),
    ],
)
def test_what_is_accepted_decides(plain: Serving, accept: str, kind: str) -> None:
    answer = plain.client.get(f"/images/{plain.image_id()}", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith(kind)


def test_an_animation_has_the_one_frame_that_is_kept(plain: Serving) -> None:
    upload = plain.upload(hostile()["animated.gif"][0]).json()
    assert upload["warnings"] == [f"the first of {upload['frames']} frames is used"]
    refused = plain.ask(image_id=upload["image_id"], question="x?", frame=1)
    assert (refused.status_code, refused.json()["code"]) == (422, "image_frame")


def test_what_a_viewer_writes_beside_a_picture_is_told(plain: Serving) -> None:
    fields = {"WindowCenter": 50, "WindowWidth": 400, "PixelSpacing": [0.7, 0.5], "CineRate": 12}
    fields["ImageOrientationPatient"] = [1, 0, 0, 0, 1, 0]
    told = plain.upload(written(scan(np.zeros((3, 8, 8), np.int16), **fields))).json()
    assert told["display"] == {
        "window": {"centre": 50.0, "width": 400.0},
        "sides": ["R", "L", "A", "P"],
        "spacing": [0.7, 0.5],
        "rate": 12.0,
        "inverted": False,
    }
    headers = {"Accept": "application/json"}
    again = plain.client.get(f"/images/{told['image_id']}", headers=headers).json()
    assert again["display"] == told["display"]
    assert plain.upload().json()["display"] is None
