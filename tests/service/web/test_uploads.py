"""Several files at once in a real browser: they become a study, and what fails loses nothing."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import (
    FOUND,
    Site,
    Wire,
    ask,
    begin,
    choose,
    needs_chromium,
    page_over,
    requests,
    saved,
    serious,
    settle,
    started,
)
from playwright.sync_api import Page, expect
from serving import png, serving

from hostile import SECRETS, hostile, scan, written

pytestmark = needs_chromium
PICTURE = "The uploaded picture as the model sees it"


def slice_at(mm: float, side: int = 64, **fields: object) -> bytes:
    grey = 40 + 40 * (np.indices((side, side)).sum(0) // 8 % 2) + int(mm)
    made = scan(grey.astype(np.int16), WindowCenter=80, WindowWidth=160)
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, mm], [1, 0, 0, 0, 1, 0]
    for name, value in fields.items():
        setattr(made, name, value)
    return written(made)


def visit(day: str, *positions: float) -> dict[str, bytes]:
    own = {"StudyDate": day, "StudyInstanceUID": f"1.2.{day}", "SeriesInstanceUID": f"1.3.{day}"}
    return {f"{day}/DOE JANE {mm:g}.dcm": slice_at(mm, **own) for mm in positions}


def zipped(members: dict[str, bytes]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def drop(page: Page, *files: tuple[str, bytes]) -> None:
    sent = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        for name, data in files
    ]
    page.locator("input[type=file]").first.set_input_files(sent)


def test_a_zip_becomes_a_study_with_its_prior_and_says_what_is_missing(
    page: Page, site: Site
) -> None:
    members = visit("20240301", 0, 5, 10, 30) | visit("20240130", 0, 5, 10, 15)
    members["20240301/other.dcm"] = slice_at(
        35, 96, StudyDate="20240301", StudyInstanceUID="1.2.20240301",
        SeriesInstanceUID="1.3.20240301",
    )  # fmt: skip
    members["README.TXT"] = b"words"
    begin(page, site)
    drop(page, ("DOE^JANE.zip", zipped(members)))
    expect(page.get_by_alt_text(PICTURE)).to_be_visible()
    chosen = page.get_by_role("combobox", name="Series")
    expect(chosen).to_have_value("2. CT, 5 pictures, current")
    main = page.locator(".stMain")
    expect(main).to_contain_text("3 slices seem to be missing")
    expect(main).to_contain_text("Its pictures have 2 sizes: 64 x 64 (4), 96 x 96 (1)")
    expect(main).to_contain_text("1 file of 10 left out: no picture of a kind that is read here")
    for secret in (*SECRETS, "DOE", "20240301"):
        assert secret not in page.content()
    assert serious(page) == []

    ask(page, FOUND)
    expect(page.get_by_text("Confidence 0.82, not calibrated")).to_be_visible()
    expect(page.get_by_text("2 pictures of the study")).to_be_visible()
    turn = site.api.conversation(re.search("cnv_[0-9a-f]+", page.url)[0]).messages[-1]
    whole = site.api.study(site.api.about_image(turn.image_id).study_id)
    prior, current = whole.series
    assert (prior.role, prior.days, current.role) == ("prior", -31, "current")
    assert turn.image_ids == [prior.image_ids[2], current.image_ids[2]]


def test_a_folder_in_the_order_of_its_names(page: Page, site: Site, tmp_path: Path) -> None:
    for number in (2, 10, 1):
        (tmp_path / f"DOE slice {number}.png").write_bytes(png(500 + number, (64, 64)))
    begin(page, site)
    page.get_by_role("button", name="A folder").or_(
        page.get_by_role("radio", name="A folder")
    ).first.click()
    folder = page.locator("input[type=file][webkitdirectory]")
    folder.set_input_files(tmp_path)
    expect(page.get_by_alt_text(PICTURE)).to_be_visible()
    slider = page.get_by_role("slider", name="Picture")
    expect(page.get_by_text("Picture 2 of 3")).to_be_visible()
    expect(slider).to_have_value("2")
    ids = [site.api.upload(png(500 + n, (64, 64))).image_id for n in (1, 2, 10)]
    page.wait_for_url(re.compile(ids[1]))
    slider.press("ArrowRight")
    page.wait_for_url(re.compile(ids[2]))
    expect(page.locator("li.here")).to_contain_text("3 pictures")


def test_the_reader_names_the_current_examination_where_no_header_does(
    page: Page, site: Site
) -> None:
    visits = [
        slice_at(mm, StudyDate="", StudyInstanceUID=f"1.2.{n}", SeriesInstanceUID=f"1.3.{n}")
        for n, mm in enumerate((51, 52))
    ]
    begin(page, site)
    drop(page, *((f"{n}.dcm", data) for n, data in enumerate(visits)))
    chosen = page.get_by_role("combobox", name="Series")
    expect(chosen).to_have_value("2. CT, 1 picture")
    name = page.get_by_role("button", name="This is the current one")
    expect(page.locator(".stMain")).to_contain_text("is the current one is not known")
    name.click()
    expect(chosen).to_have_value("2. CT, 1 picture, current")
    expect(name).to_have_count(0)
    image_id = re.search("img_[0-9a-f]+", page.url)[0]
    whole = site.api.study(site.api.about_image(image_id).study_id)
    assert [one.role for one in whole.series] == ["prior", "current"]
    assert whole.series[-1].image_ids == [image_id]


@pytest.mark.slow
def test_of_several_stacks_in_a_series_each_is_reached(page: Page, site: Site) -> None:
    grey = np.arange(5 * 64 * 64, dtype=np.uint16).reshape(5, 64, 64)
    clips = [
        written(scan(grey + 9 * n, InstanceNumber=n, SeriesInstanceUID="1.3.9")) for n in (1, 2)
    ]
    begin(page, site)
    drop(page, *((f"{n}.dcm", data) for n, data in enumerate(clips)))
    chosen = page.get_by_role("combobox", name="Picture")
    expect(chosen).to_have_value("Picture 2 of 2")
    expect(page.locator(".at")).to_have_text("Frame 3 of 5")
    second = re.search("img_[0-9a-f]+", page.url)[0]
    choose(page, chosen, "Picture 1 of 2")
    expect(chosen).to_have_value("Picture 1 of 2")
    page.wait_for_url(lambda url: second not in url)
    settle(page)
    page.get_by_role("group", name="Picture", exact=True).press("End")
    expect(page.locator(".at")).to_have_text("Frame 5 of 5")


def test_two_patients_are_refused_by_the_name_of_the_rule(page: Page, site: Site) -> None:
    begin(page, site)
    both = [(f"{n}.dcm", slice_at(n + 7, PatientID=who)) for n, who in enumerate(("ANN", "ZOE"))]
    there = site.api.upload(slice_at(9, PatientID="ANN")).image_id
    drop(page, *both, ("2.dcm", slice_at(9, PatientID="ANN")))
    alert = page.get_by_test_id("stAlert")
    expect(alert).to_contain_text("A study is of one patient, and these pictures are of 2")
    assert not any(name in page.content() for name in ("ANN", "ZOE"))
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    before = {one.image_id for one in site.api.new_uploads(limit=100).images}
    page.get_by_role("button", name="Delete what was uploaded").click()
    expect(page.get_by_text("Ask about a medical picture")).to_be_visible()
    settle(page)
    left = {one.image_id for one in site.api.new_uploads(limit=100).images}
    assert len(before - left) == 2
    assert there in left  # it was not of this upload


def test_two_thousand_files_are_refused_before_one_is_sent(page: Page, site: Site) -> None:
    begin(page, site)
    many = {f"{n}.png": png(n % 7, (4, 4)) for n in range(2000)}
    before = len(site.api.new_uploads(limit=100).images)
    drop(page, ("many.zip", zipped(many)))
    expect(page.get_by_test_id("stAlert")).to_contain_text(
        "A study has at most 512 pictures, and these are 2,000"
    )
    page.get_by_role("button", name="Leave it").click()
    expect(page.get_by_text("Ask about a medical picture")).to_be_visible()
    assert len(site.api.new_uploads(limit=100).images) == before


@pytest.mark.slow
def test_what_there_is_no_room_for_is_told(page: Page, tmp_path: Path) -> None:
    replay = str(saved(tmp_path))
    with started(tmp_path, "--replay", replay, VESALIUS_WEB_HELD_MIB="1") as site:
        begin(page, site)
        large = ("DOE^JANE.png", slice_at(3) + bytes(2**20))
        drop(page, large)
        expect(page.get_by_role("alert").filter(has_text="507")).to_have_count(1)
        assert requests(site, "/upload_image") == 0
        page.reload()
        drop(page, ("1.dcm", slice_at(1)), large, ("2.dcm", slice_at(2)))
        told = page.get_by_text("1 file of 3 not taken: too many were on their way at once")
        expect(told).to_be_visible()
        expect(page.get_by_role("group", name="Picture", exact=True)).to_be_visible()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A page that calls a service with a key, over a wire that can be cut."""
    with serving(tmp_path, keys="on", rate_per_minute=9999, text_in_dicom="off") as running:
        key, secret = running.service.store.create_key("page")
        running.client.headers["Authorization"] = f"Bearer {secret}"
        wire = Wire(running.client.base_url.port)
        with page_over(wire.url, VESALIUS_API_KEY=secret) as url:
            yield SimpleNamespace(url=url, api=None, wire=wire, serving=running, key=key)
        wire.close()


@pytest.mark.slow
def test_a_service_that_dies_meanwhile_gets_the_rest_when_it_is_back(
    page: Page, desk: SimpleNamespace
) -> None:
    begin(page, desk)
    files = [(f"{n}.png", png(n, (600, 600))) for n in range(30)]
    drop(page, *files)
    expect(page.get_by_text(re.compile(r"[3-9] of 30 pictures"))).to_be_visible()
    desk.wire.cut()
    expect(page.get_by_text(re.compile(r"of 30 pictures are there"))).to_be_visible()
    expect(page.get_by_text(re.compile(r"Trying again by itself in \d+ s"))).to_be_visible()
    desk.wire.mend()
    expect(page.get_by_text("Picture 16 of 30")).to_be_visible()
    page.wait_for_timeout(500)
    listed = desk.serving.client.get("/studies").json()["studies"]
    assert [len(one["image_ids"]) for one in listed] == [30]


@pytest.mark.slow
def test_a_key_that_is_revoked_while_the_page_is_open(page: Page, desk: SimpleNamespace) -> None:
    begin(page, desk)
    desk.serving.service.store.revoke_key(desk.key.id)
    drop(page, ("a.png", png(1)), ("b.png", png(2)))
    alert = page.get_by_test_id("stAlert").first
    expect(alert).to_contain_text("This key is not known, or was revoked")
    expect(alert).to_contain_text("Ask whoever runs this page to set a valid key")
    page.wait_for_timeout(500)
    secret = desk.serving.service.store.create_key("page")[1]  # the same name: the same owner
    listed = desk.serving.client.get("/images", headers={"Authorization": f"Bearer {secret}"})
    assert listed.json()["images"] == []


@pytest.mark.slow
def test_writing_is_boxed_and_covered_beside_its_warning(page: Page, tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    burned = next(data for name, (data, *_) in hostile().items() if "burned" in name)
    with (
        serving(tmp_path, text_in_pictures="flag", rate_per_minute=9999) as running,
        page_over(str(running.client.base_url)) as url,
    ):
        begin(page, SimpleNamespace(url=url))
        drop(page, ("a.png", burned))
        warning = page.get_by_test_id("stAlert")
        expect(warning).to_contain_text("Text burned into the picture was found")
        expect(page.locator(".marks span").first).to_have_text("writing")
        assert serious(page) == []
        before = page.url
        page.get_by_role("button", name="Cover it and go on").click()
        expect(warning).to_contain_text("was covered", timeout=90_000)
        expect(page.locator(".marks span")).to_have_count(0)
        expect(page.get_by_role("button", name="Cover it and go on")).to_have_count(0)
        assert page.url != before
        assert len(running.client.get("/images").json()["images"]) == 1
