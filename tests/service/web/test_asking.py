"""Asking in a real browser: copied, edited, asked again; what is not taken waits in its place."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import (
    ANSWER,
    DESKTOP,
    DOUBT,
    FOUND,
    Site,
    Wire,
    ask,
    begin,
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

from hostile import scan, written
from vesalius.service.http.schemas import DISCLAIMER, AskRequest
from vesalius.service.web.api_errors import ApiError

pytestmark = needs_chromium
TRIES = re.compile(r"Trying again by itself in \d+ s")


@pytest.mark.parametrize(
    "page",
    [{"viewport": DESKTOP, "permissions": ["clipboard-read", "clipboard-write"]}],
    indirect=True,
    ids=["allowed"],
)
def test_an_answer_is_copied_with_what_it_is_worth(page: Page, site: Site, read: str) -> None:
    begin(page, site, f"/?conversation={read}")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{FOUND}\n{ANSWER}\nConfidence 0.82, not calibrated. {DISCLAIMER}"


def test_a_question_is_edited_and_stands_in_the_place_of_the_old_one(
    page: Page, site: Site, asked: str
) -> None:
    begin(page, site, f"/?conversation={asked}")
    page.get_by_role("button", name="Edit").click()
    words = page.get_by_role("textbox", name="Your question")
    expect(words).to_have_value(FOUND)
    page.get_by_role("button", name="Cancel").click()
    expect(words).to_have_count(0)
    page.get_by_role("button", name="Edit").click()
    words.fill(DOUBT)
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.get_by_text("Not sure (0.31): do not rely on this answer")).to_be_visible()
    expect(page.get_by_text(ANSWER)).to_have_count(0)
    before, after = site.api.conversation(asked).messages
    assert (before.question, before.replaced_by) == (FOUND, after.answer_id)
    assert (after.question, after.image_id) == (DOUBT, before.image_id)
    assert serious(page) == []


@pytest.mark.slow
def test_asking_again_repeats_the_question_in_its_place(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("You stopped this answer.")).to_be_visible()
    page.get_by_role("button", name="Ask again").click()  # what was stopped, too
    expect(page.get_by_text("How this answer was made")).to_be_visible()
    turns = site.api.conversation(asked).messages
    assert [turn.question for turn in turns] == [FOUND] * 3
    assert [turn.replaced_by is None for turn in turns] == [False, False, True]


def test_after_a_thumb_down_the_reasons_are_in_sight(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    page.set_viewport_size({"width": 1366, "height": 520})
    thumb, main = page.get_by_role("radio", name="Thumbs down"), page.locator(".stMain")
    # The thumb right above the box for questions: what comes below it would be under that.
    foot = page.get_by_test_id("stBottom").bounding_box()["y"]
    main.evaluate("(e, by) => e.scrollBy(0, by)", thumb.bounding_box()["y"] - foot + 40)
    thumb.click()
    for reason in ("Wrong", "Unsafe"):
        expect(page.get_by_text(reason, exact=True)).to_be_in_viewport()
    comment = page.get_by_label("In your words")
    expect(comment).to_be_in_viewport()
    box, bottom = comment.bounding_box(), page.get_by_test_id("stBottom").bounding_box()
    assert box["y"] + box["height"] <= bottom["y"]  # and nothing lies over it


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A page over a wire that can be cut, before a service of few questions a minute."""
    with serving(tmp_path, text_in_dicom="off", rate_per_minute=9999) as running:
        wire = Wire(running.client.base_url.port)
        with page_over(wire.url) as url:
            yield SimpleNamespace(url=url, wire=wire, serving=running)
        wire.close()


def test_questions_of_the_run_are_suggested_and_are_no_markup(
    page: Page, desk: SimpleNamespace
) -> None:
    own = ["which organ?", "![x](http://i.example/x.png) *which* plane?"]
    desk.serving.service.suggestions = [("organ", own[0]), ("plane", own[1])]
    begin(page, desk, f"/?image={desk.serving.image_id(png(5, (300, 200)))}")
    expect(page.get_by_role("button", name="![x](http")).to_be_visible()
    page.get_by_role("button", name=own[0], exact=True).click()
    expect(page.get_by_text(f"You asked: {own[0]}")).to_be_visible()
    settle(page)
    # What was asked here is not offered again; what was not, is.
    expect(page.get_by_role("button", name=own[0], exact=True)).to_have_count(0)
    page.get_by_role("button", name="![x](http").click()
    expect(page.get_by_text("You asked: ![x](http")).to_be_visible()
    (talk,) = desk.serving.client.get("/conversations").json()["conversations"]
    whole = desk.serving.client.get(f"/conversations/{talk['conversation_id']}").json()
    assert [turn["question"] for turn in whole["messages"]] == own


@pytest.mark.slow
def test_a_dead_service_loses_no_question_and_is_asked_again(
    page: Page, desk: SimpleNamespace
) -> None:
    image_id = desk.serving.image_id(png(3, (300, 200)))
    first = desk.serving.ask(image_id=image_id, question="first?").json()
    begin(page, desk, f"/?conversation={first['conversation_id']}")
    expect(page.get_by_text("You asked: first?")).to_be_visible()
    desk.wire.cut()
    ask(page, "second?")
    main = page.locator(".stMain")
    expect(main).to_contain_text("The service cannot be reached")
    expect(page.get_by_text("second?")).to_be_visible()
    expect(page.get_by_text("You asked: first?")).to_be_visible()  # what was there stays
    expect(page.get_by_text(TRIES).first).to_be_visible()
    desk.wire.mend()
    expect(page.get_by_text("You asked: second?")).to_be_visible()
    expect(page.get_by_text("cannot be reached")).to_have_count(0)
    whole = desk.serving.client.get(f"/conversations/{first['conversation_id']}").json()
    assert [turn["question"] for turn in whole["messages"]] == ["first?", "second?"]


def _is_kept(site: Site, image_id: str) -> bool:
    try:
        site.api.image(image_id)
    except ApiError as error:
        return error.code != "image_expired"
    return True


@pytest.mark.slow
def test_a_picture_whose_time_passes_on_the_page_keeps_the_question(
    page: Page, tmp_path: Path
) -> None:
    """By the clock: it is kept for 20 s, shown, and swept while the page is open."""
    times = {"VESALIUS_IMAGE_HOURS": str(20 / 3600), "VESALIUS_SWEEP_SECONDS": "1"}
    with started(tmp_path, "--replay", str(saved(tmp_path)), **times) as site:
        image_id = site.api.upload(png(5, (300, 200))).image_id
        begin(page, site, f"/?image={image_id}")
        expect(page.get_by_alt_text("The uploaded picture as the model sees it")).to_be_visible()
        deadline = time.monotonic() + 60
        while _is_kept(site, image_id):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        ask(page, "what is it?")
        main = page.locator(".stMain")
        expect(main).to_contain_text("Upload the picture again to ask more about it.")
        expect(page.get_by_text("what is it?")).to_be_visible()
        page.reload()
        expect(main).to_contain_text("This picture has expired.")


@pytest.mark.slow
def test_a_picture_that_was_deleted_meanwhile_keeps_the_question(
    page: Page, desk: SimpleNamespace
) -> None:
    image_id = desk.serving.image_id(png(4, (300, 200)))
    begin(page, desk, f"/?image={image_id}")
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    desk.serving.client.delete(f"/images/{image_id}")
    ask(page, "what is it?")
    main = page.locator(".stMain")
    expect(main).to_contain_text(re.compile("no such image|deleted", re.IGNORECASE))
    expect(page.get_by_text("what is it?")).to_be_visible()


def test_a_question_about_a_picture_that_went_stays_beside_another(page: Page, site: Site) -> None:
    gone, other = (site.api.upload(png(seed, (300, 200))).image_id for seed in (61, 62))
    with site.api.ask(AskRequest(image_id=gone, question=FOUND)) as answering:
        *_, last = answering.events()
    site.api.delete_image(gone)
    begin(page, site, f"/?conversation={last.conversation_id}&image={other}")
    page.get_by_role("button", name="Ask again").click()
    main = page.locator(".stMain")
    expect(main).to_contain_text(re.compile("no such image|no longer|deleted", re.IGNORECASE))
    expect(main.get_by_role("button", name="Discard")).to_be_visible()


@pytest.mark.slow
def test_an_answer_about_dicom_is_a_report_beside_export(page: Page, site: Site) -> None:
    pytest.importorskip("highdicom", reason="the extra results is not installed")
    data = written(scan(np.arange(4096, dtype=np.uint16).reshape(64, 64)))
    image = site.api.upload(data)
    with site.api.ask(AskRequest(image_id=image.image_id, question=FOUND)) as answering:
        *_, last = answering.events()
    begin(page, site, f"/?conversation={last.conversation_id}")
    page.get_by_role("button", name="Export").click()
    field = page.get_by_test_id("stPopoverBody").locator("input[type=file]")
    named = {"name": "DOE^JANE.dcm", "mimeType": "application/dicom"}
    field.set_input_files(named | {"buffer": data[:-2]})
    expect(page.get_by_text("This is not the file that the answer is about")).to_be_visible()
    field.set_input_files(named | {"buffer": data})
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download the report").click()
    assert coming.value.suggested_filename == "report.dcm"
    assert Path(coming.value.path()).read_bytes()[128:132] == b"DICM"
    # The file is sent once, whatever the page is run for later, and the page lets go of it.
    expect(page.get_by_text("DOE^JANE")).to_have_count(0)
    page.keyboard.press("Escape")
    for name in ("Edit", "Cancel"):
        page.get_by_role("button", name=name, exact=True).click()
        settle(page)
    assert requests(site, "/answers/{answer_id}/report") == 2
