"""The page in a real browser, over the real service with saved answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("streamlit", reason="the extra web is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import (
    ANSWER,
    DESKTOP,
    DOUBT,
    FOUND,
    HEBREW,
    MARK,
    PHONE,
    Site,
    answered,
    ask,
    begin,
    needs_chromium,
    press_until,
    serious,
    settle,
    started,
    upload,
)
from playwright.sync_api import Page, expect

from hostile import hostile
from vesalius.cli.main import app
from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.examples import EXAMPLES
from vesalius.service.web.style import NOTICE

pytestmark = needs_chromium


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[Site]:
    """Page and service with two answers of a run up for review."""
    recipe, run = tmp_path / "r.yaml", str(tmp_path / "run")
    cases = "{dataset: phantom, options: {cases: {train: 16, validation: 4, test: 4}}}"
    recipe.write_text(f"name: majority\ndata: {cases}\nmodel: {{name: majority}}\n")
    for words in (["fit", str(recipe), "--run", run], ["predict", "--run", run]):
        assert CliRunner().invoke(app, words).exit_code == 0
    with started(tmp_path, "--run", run, "--review", "2") as found:
        yield found


def test_upload_ask_and_read_the_answer_as_it_comes(page: Page, site: Site) -> None:
    begin(page, site)
    expect(page.locator(".vs-notice")).to_have_text(NOTICE)
    upload(page, EXAMPLES[0].draw())
    expect(page.get_by_alt_text("The uploaded picture as the model sees it")).to_be_visible()
    ask(page, FOUND)
    # While it is being written: some words, not all of them, and a way to stop.
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(page.get_by_text(re.compile(r"^Yes: a large"))).to_be_visible()
    # While the page is made anew Streamlit may show an old element once more, elsewhere.
    answered = page.get_by_role("group", name="Chat message from assistant").get_by_text(ANSWER)
    assert answered.count() == 0
    expect(answered).to_be_visible()
    expect(page.get_by_text("Confidence 0.82, not calibrated")).to_be_visible()
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    expect(page.locator(".vs-cases .vs-same")).to_have_text(
        "this same picture is in the training set"
    )
    expect(page.locator(".vs-cases")).to_contain_text("<b>no</b> nodule")
    page.get_by_text("Confidence 0.82, not calibrated").click()
    expect(page.get_by_text("mean token probability").first).to_be_visible()
    page.get_by_text("How this answer was made").click()
    expect(page.locator(".vs-facts")).to_contain_text("replay")
    assert "conversation=cnv_" in page.url
    assert "DOE" not in page.content()

    ask(page, DOUBT)
    doubt = page.get_by_text("Not sure (0.31): do not rely on this answer")
    expect(doubt).to_be_in_viewport()
    page.reload()
    expect(doubt).to_be_visible()
    expect(page.get_by_text(ANSWER)).to_be_visible()
    expect(page.get_by_alt_text("The uploaded picture as the model sees it")).to_be_visible()


KEPT = """async () => JSON.stringify([
  {...localStorage}, {...sessionStorage}, document.cookie, document.title, history.state,
  (await indexedDB.databases()).map((one) => one.name), await caches.keys(),
  (await navigator.serviceWorker.getRegistrations()).length,
])"""


def test_neither_browser_nor_log_keeps_a_word_or_an_id(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    expect(page.get_by_text("How this answer was made")).to_be_visible()
    image_id = site.api.conversation(asked).image_id
    page.get_by_role("button", name="Invert").click()
    page.get_by_placeholder("Search").fill("abnormal")
    settle(page)
    kept = page.evaluate(KEPT)
    assert '"Vesalius"' in kept  # the title
    begin(page, site)
    upload(page, EXAMPLES[4].draw(), "DOE^JANE.dcm")
    expect(page.get_by_role("group", name="Picture", exact=True)).to_be_visible()
    settle(page)
    kept += page.evaluate(KEPT)
    log = site.log.read_text()
    assert '"route": "/images/{image_id}"' in log
    for secret in (asked, image_id, FOUND, ANSWER, "abnormal", "img_", "cnv_", "vsk_", "DOE"):
        assert secret not in kept
        assert secret not in log


def test_stop_stops_and_what_was_asked_stays(page: Page, site: Site) -> None:
    begin(page, site)
    page.get_by_role("button", name="Brain MRI", exact=True).click()
    page.get_by_role("button", name="Describe this picture").click()
    page.wait_for_url(re.compile("conversation=cnv_"))
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("You stopped this answer.")).to_be_visible()
    found = page.url.partition("conversation=")[2]
    turn = site.api.conversation(found).messages[-1]
    assert (turn.state, turn.answer) == ("cancelled", None)
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_enabled()


@pytest.mark.slow
def test_a_reload_does_not_lose_an_answer_that_is_being_written(page: Page, site: Site) -> None:
    begin(page, site)
    page.get_by_role("button", name="Chest X-ray", exact=True).click()
    page.get_by_role("button", name=FOUND, exact=True).click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.wait_for_url(re.compile("conversation=cnv_"))
    page.reload()
    # On a slow machine it may be done by the time the page is there again.
    waiting = page.get_by_text("This answer is being written")
    expect(waiting.or_(page.get_by_text(ANSWER))).to_be_visible()
    expect(page.get_by_text(ANSWER)).to_be_visible()
    expect(waiting).to_have_count(0)


def test_a_text_file_named_png_is_refused_in_words(page: Page, site: Site) -> None:
    begin(page, site)
    upload(page, b"These are words, not a picture.")
    told = page.get_by_test_id("stAlert")
    expect(told).to_contain_text("not PNG, JPEG")
    expect(told).to_contain_text(re.compile("Request id req_"))
    settle(page)
    assert "DOE" not in page.content()
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()


@pytest.mark.slow
def test_an_expert_rates_every_answer(page: Page, reviewed: Site) -> None:
    begin(page, reviewed)
    page.get_by_role("link", name="Review").click()
    expect(page.get_by_text("0 of 2 rated")).to_be_visible()
    assert serious(page) == []
    expect(page.get_by_alt_text("The picture that the answer is about")).to_be_visible()
    assert page.get_by_text(re.compile("confidence|sure \\(", re.IGNORECASE)).count() == 0
    save = page.get_by_role("button", name="Save and go on")
    expect(save).to_be_in_viewport()
    save.click()  # nothing half-rated is kept
    expect(page.get_by_text("Please rate accuracy, relevance")).to_be_visible()
    for group in page.locator("[class*=st-key-grades]").get_by_role("radiogroup").all():
        group.get_by_text("4", exact=True).click()
    page.get_by_role("button", name="Omission").click()
    save.click()
    expect(page.get_by_text("1 of 2 rated")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Cannot judge").click()
    expect(page.get_by_text("Everything is rated. Thank you.")).to_be_visible()
    assert (reviewed.api.review().rated, reviewed.api.review().item) == (2, None)


@pytest.mark.slow
def test_an_expert_rates_by_keyboard_and_goes_back(page: Page, reviewed: Site) -> None:
    page.goto(f"{reviewed.url}/review")
    checked = page.locator("[class*=st-key-grades] [aria-checked=true]")
    at = page.locator("[class*=st-key-grades] [data-at]")

    def press(keys: str) -> None:
        expect(at).to_contain_text("Accuracy")
        for key in keys:
            page.keyboard.press(key)

    press("4453")
    expect(at).to_contain_text("Helpfulness")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("3")  # the same again takes nothing away
    page.keyboard.press("2")
    expect(checked).to_have_text(["4", "4", "5", "3", "2"])
    page.keyboard.press("Enter")
    expect(page.get_by_text("1 of 2 rated")).to_be_visible()
    expect(checked).to_have_count(0)
    press("b")
    expect(checked).to_have_text(["4", "4", "5", "3", "2"])
    press("1")
    page.get_by_label("In your words").fill("5 mm, not 3")  # digits of a text are no grades
    expect(checked).to_have_text(["1", "4", "5", "3", "2"])
    page.get_by_role("button", name="Save and go on").click()
    expect(checked).to_have_count(0)
    press("c")
    expect(page.get_by_text("Everything is rated. Thank you.")).to_be_visible()
    first = reviewed.api.review(reviewed.api.review().previous)
    first = reviewed.api.review(first.previous).item
    assert (first.rating.axes()["accuracy"], first.rating.comment) == (1, "5 mm, not 3")


def test_boxes_lie_over_the_picture_and_words_of_them_are_words(page: Page, site: Site) -> None:
    begin(page, site, f"/?conversation={answered(site, 1, MARK)}")
    picture = page.get_by_alt_text("as the model sees it. Marked: nodule <i>1</i>, heart")
    box, tags = page.locator(".marks div"), page.locator(".marks span")
    expect(box).to_be_visible()
    expect(tags).to_have_text(["nodule <i>1</i> 0.90", "heart"])
    expect(page.locator(".marks polygon")).to_have_count(1)

    def shares() -> list[float]:
        whole, part = picture.bounding_box(), box.bounding_box()
        across, down = whole["width"], whole["height"]
        left, top = part["x"] - whole["x"], part["y"] - whole["y"]
        return [left / across, top / down, part["width"] / across, part["height"] / down]

    # Of 384 x 384 pixels: 96/384, 48/384, 192/384, 96/384.
    expected = pytest.approx([0.25, 0.125, 0.5, 0.25], abs=0.01)
    assert shares() == expected
    before = tags.first.bounding_box()["height"]
    page.get_by_role("button", name="Zoom in").click()
    assert shares() == expected  # it follows the picture, its label stays as large
    assert tags.first.bounding_box()["height"] == before
    page.get_by_role("button", name="Boxes").click()
    expect(box).to_be_hidden()
    page.get_by_role("group", name="Picture", exact=True).press("b")
    expect(box).to_be_visible()

    expect(page.get_by_role("list", name="Marked")).to_contain_text("nodule <i>1</i> 0.90")
    expect(page.get_by_role("list", name="Concepts")).to_have_text("C0028259 <u>Nodule</u>")
    page.get_by_text("Who said what").click()
    rows = page.locator(".vs-facts tr")
    expect(rows.first).to_have_text(re.compile(r"near\s*a <b>nodule</b>"))
    expect(rows.nth(1)).to_have_text(re.compile(r"detector\s*nodule <i>1</i>\s*abstained"))


def test_addresses_in_words_are_no_links(page: Page, site: Site) -> None:
    image = site.api.upload(EXAMPLES[3].draw())
    said = "see http://i.example/x?d=1 or www.i.example or a@i.example"
    with site.api.ask(AskRequest(image_id=image.image_id, question=said)) as answering:
        *_, last = answering.events()
    begin(page, site, f"/?conversation={last.conversation_id}")
    message = page.get_by_test_id("stChatMessage")
    expect(message.get_by_text("i.example").first).to_be_visible()
    assert message.locator("a").count() == 0
    assert page.locator(".stMain").locator("a[href*='i.example']").count() == 0


@pytest.mark.slow
def test_text_in_a_picture_is_covered_on_request(page: Page, site: Site) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    burned = next(data for name, (data, *_) in hostile().items() if "burned" in name)
    begin(page, site)
    page.get_by_text("Cover text in the picture").click()
    settle(page)
    upload(page, burned)
    expect(page.get_by_text(re.compile("was covered"))).to_be_visible(timeout=90_000)


@pytest.mark.slow
def test_an_unknown_conversation_is_told(page: Page, site: Site) -> None:
    begin(page, site, "/?conversation=cnv_nobody")
    expect(page.get_by_text("Nothing is kept here")).to_be_visible()


@pytest.mark.slow
def test_feedback_reaches_the_service(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    page.get_by_role("radio", name="Thumbs down").click()
    expect(page.get_by_text("Thank you, noted.")).to_be_visible()
    page.get_by_role("button", name="Unsafe").or_(page.get_by_role("radio", name="Unsafe")).click()
    comment = page.get_by_label("In your words")
    comment.fill("the side is wrong")
    comment.press("Enter")
    settle(page)
    page.wait_for_timeout(500)
    said = site.api.conversation(asked).messages[-1].feedback
    assert said is not None
    assert (said["verdict"], said["reason"]) == ("down", "unsafe")
    assert said["comment"] == "the side is wrong"
    page.reload()
    expect(page.get_by_role("radio", name="Thumbs down")).to_be_checked()


def test_export_is_a_file(page: Page, site: Site, read: str) -> None:
    begin(page, site, f"/?conversation={read}")
    page.get_by_role("button", name="Export").click()
    for label, name in (
        ("As JSON", "conversation.json"),
        ("As HTML", "conversation.html"),
        ("Last answer as FHIR", "report.fhir.json"),
    ):
        with page.expect_download() as coming:
            page.get_by_role("button", name=label).click()
        assert coming.value.suggested_filename == name
        text = Path(coming.value.path()).read_text(encoding="utf-8")
        assert ANSWER in text
        assert "research use only" in text.lower()
    whole = site.api.conversation(read)
    assert json.loads(site.api.export(read, "json"))["conversation_id"] == whole.conversation_id


@pytest.mark.slow
def test_a_deleted_picture_goes_and_the_talk_stays(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    page.get_by_role("button", name="Delete picture").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("This picture was deleted.")).to_be_visible()
    expect(page.get_by_text(ANSWER)).to_be_visible()
    expect(page.get_by_alt_text("The uploaded picture as the model sees it")).to_have_count(0)
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_disabled()


@pytest.mark.slow
def test_windows_and_frames_change_what_the_model_is_shown(page: Page, site: Site) -> None:
    begin(page, site)
    page.get_by_role("button", name="Chest CT, DICOM").click()
    shown = page.get_by_alt_text("The uploaded picture as the model sees it")
    before = shown.get_attribute("src")
    page.get_by_role("button", name="Lung").click()
    expect(shown).not_to_have_attribute("src", before)
    page.wait_for_url(re.compile("centre=-600&width=1500"))
    slider = page.get_by_role("slider")
    slider.press("ArrowRight")
    page.wait_for_url(re.compile("frame=7"))
    ask(page, FOUND)
    expect(page.get_by_text("frame 8, lung window")).to_be_visible()
    turn = site.api.conversation(page.url.partition("conversation=")[2]).messages[-1]
    assert turn.frame == 7
    assert turn.window is not None
    assert (turn.window.centre, turn.window.width) == (-600, 1500)
    page.reload()
    expect(page.get_by_role("slider")).to_have_value("8")


LEFT = """word => {
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = new Range(), lefts = [];
  while (words.nextNode()) {
    const { data } = words.currentNode, at = data.indexOf(word);
    if (at < 0 || !words.currentNode.parentElement.closest("[data-testid=stChatMessage]")) continue;
    range.setStart(words.currentNode, at);
    range.setEnd(words.currentNode, at + word.length);
    lefts.push(range.getBoundingClientRect().left);
  }
  return lefts;
}"""
"""Where a word begins in each question and answer."""


def test_words_run_in_the_direction_of_their_script_and_long_ones_are_reached(
    page: Page, site: Site
) -> None:
    begin(page, site, f"/?conversation={answered(site, 0, HEBREW)}")
    expect(page.get_by_text("How this answer was made")).to_be_visible()
    hebrew, latin = page.evaluate(LEFT, "גוש"), page.evaluate(LEFT, "CT 12")
    assert len(latin) == len(hebrew) == 2
    assert all(one < other for one, other in zip(latin, hebrew, strict=True))
    cases = page.get_by_role("group", name="Similar cases")
    assert cases.evaluate("e => e.scrollWidth <= e.clientWidth")  # none is cut off at the side
    cases.focus()
    page.keyboard.press("End")
    page.wait_for_function("e => e.scrollTop > 0", arg=cases.element_handle())
    assert serious(page) == []


@pytest.mark.parametrize(
    "page", [{"viewport": PHONE, "has_touch": True}], indirect=True, ids=["phone"]
)
def test_on_a_phone_nothing_hangs_over_the_side(page: Page, site: Site, read: str) -> None:
    for at in ("", f"/?conversation={read}", "/about", "/card"):
        begin(page, site, at)
        expect(page.locator(".vs-notice")).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        page.wait_for_function(  # while it is laid out it may be wider
            "() => (e => e.scrollWidth <= e.clientWidth)(document.querySelector('.stMain'))"
        )
    # The side covers the page, and folds away where it was used.
    begin(page, site, f"/?conversation={read}")
    page.get_by_test_id("stExpandSidebarButton").click()
    page.get_by_role("link", name="About and safety").click()
    expect(page.get_by_role("heading", name="About and safety")).to_be_visible()
    expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport()


@pytest.mark.slow
def test_by_keyboard_alone(page: Page, site: Site) -> None:
    begin(page, site)
    press_until(page, "Chest X-ray")
    page.keyboard.press("Enter")
    expect(page.get_by_text("What would you like to know?")).to_be_visible()
    settle(page)
    press_until(page, "Ask about this picture")
    page.keyboard.type(FOUND)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Confidence 0.82, not calibrated")).to_be_visible()
    # The next question can be typed at once.
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_focused()
    press_until(page, "Thumbs up", back=True)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Thank you, noted.")).to_be_visible()


FOCUSED = """() => {
  let e = document.activeElement;
  while (e?.shadowRoot?.activeElement) e = e.shadowRoot.activeElement;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(e);
  const ring = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || boxShadow !== "none";
  return [e.tagName, e.ariaLabel || e.innerText || "", ring];
}"""


def test_one_skips_to_the_page_and_sees_where_one_is(page: Page, site: Site, read: str) -> None:
    begin(page, site, f"/?conversation={read}")
    expect(page.get_by_text("How this answer was made")).to_be_visible()
    expect(page.get_by_test_id("stChatInputTextArea")).to_be_focused()  # where one arrives
    page.evaluate("document.activeElement.blur()")
    skip = page.get_by_role("link", name="Skip to main content")
    while page.evaluate(FOCUSED)[1] != "Skip to main content":
        page.keyboard.press("Tab")
    expect(skip).to_be_in_viewport()
    stops: list[tuple[str, str, bool]] = []
    while "TEXTAREA" not in {tag for tag, *_ in stops}:
        page.keyboard.press("Tab")
        page.wait_for_timeout(50)
        stops.append(page.evaluate(FOCUSED))
        assert len(stops) < 60
    names = " ".join(name for _, name, _ in stops)
    for name in ("Model card", "Picture", "Delete picture", "Export", "Copy", "Ask again"):
        assert name in names
    # The box for questions has a border instead, of the whole of it.
    assert [one for one in stops if not one[2] and one[0] != "TEXTAREA"] == []
    skip.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED)[1] == "Picture"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "dark"),
    [({"viewport": DESKTOP, "color_scheme": s}, s == "dark") for s in ("light", "dark")],
    indirect=["page"],
    ids=["light", "dark"],
)
def test_light_and_dark_follow_the_browser(page: Page, site: Site, dark: bool) -> None:
    begin(page, site)
    colour = page.locator(".stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    red = int(re.findall(r"\d+", colour)[0])
    assert (red < 60) is dark


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [{"viewport": DESKTOP, "color_scheme": "light"}, {"viewport": PHONE, "color_scheme": "dark"}],
    indirect=True,
    ids=["desktop-light", "phone-dark"],
)
def test_axe_finds_nothing_serious_on_any_page(page: Page, site: Site, read: str) -> None:
    found = {}
    for at in ("", f"?conversation={read}", "card", "about"):
        begin(page, site, f"/{at}")
        if read in at:
            expect(page.get_by_role("log")).to_contain_text(ANSWER)  # read out as it grows
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        found[at.partition("=")[0]] = serious(page)
    assert not any(found.values()), found
