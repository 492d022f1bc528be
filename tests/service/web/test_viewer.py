"""The picture in a real browser: frames, windows, zoom, boxes, full screen, and what is refused."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import (
    BOX,
    DESKTOP,
    FOUND,
    MARK,
    PHONE,
    Site,
    answered,
    ask,
    begin,
    needs_chromium,
    requests,
    serious,
    settle,
)
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from hostile import scan, written
from vesalius.service.http.schemas import AskRequest, Window
from vesalius.service.web.examples import EXAMPLES
from vesalius.service.web.views import TICKET

pytestmark = needs_chromium
WIDE = "w => document.querySelector('.st-key-picture').clientWidth >= w / 2"
PIXELS = """e => {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: e.naturalWidth, height: e.naturalHeight });
  canvas.getContext("2d").drawImage(e, 0, 0);
  return canvas.toDataURL();
}"""
CT = 4
"""The example of 12 slices."""


@pytest.fixture
def ct(site: Site) -> str:
    """The example CT, uploaded."""
    return site.api.upload(EXAMPLES[CT].draw()).image_id


def opened(page: Page, site: Site, image_id: str, view: str = "") -> Locator:
    """The stage, once a picture is on it."""
    begin(page, site, f"/?image={image_id}{view}")
    stage = page.get_by_role("group", name="Picture", exact=True)
    expect(stage.locator("img")).to_be_visible()
    return stage


def middle(stage: Locator) -> tuple[float, float]:
    box = stage.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def pixels(stage: Locator) -> np.ndarray:
    """Those of the picture that is in sight, as the browser has decoded them."""
    url = stage.locator("img").evaluate(PIXELS)
    return np.asarray(Image.open(BytesIO(b64decode(url.partition(",")[2]))).convert("RGB"))


def window(centre: float, width: float) -> Window:
    return Window(centre=centre, width=width)


def from_api(site: Site, image_id: str, frame: int | None, through: Window | None = None) -> Any:
    png = site.api.image(image_id, frame=frame, window=through)
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))


def test_wheel_and_arrows_scroll_the_stack_and_questions_follow(
    page: Page, site: Site, ct: str
) -> None:
    stage = opened(page, site, ct)
    at = page.locator(".at")
    expect(at).to_have_text("Frame 7 of 12")
    page.mouse.move(*middle(stage))
    for _ in range(2):
        page.mouse.wheel(0, 120)
    expect(at).to_have_text("Frame 9 of 12")
    np.testing.assert_array_equal(pixels(stage), from_api(site, ct, 8))
    stage.press("ArrowUp")
    expect(at).to_have_text("Frame 8 of 12")
    stage.press("End")
    expect(at).to_have_text("Frame 12 of 12")
    page.mouse.wheel(0, 120)  # there is no more
    slider = page.get_by_role("slider", name="Frame")
    expect(slider).to_have_value("12")
    slider.press("ArrowLeft")
    expect(at).to_have_text("Frame 11 of 12")
    ask(page, FOUND)  # at once, before the page has heard of the frame
    page.wait_for_url(re.compile("conversation="))
    stage.press("ArrowDown")  # on, while the answer is written
    expect(page.get_by_text("frame 11", exact=True)).to_be_visible()
    expect(page.get_by_text("How this answer was made")).to_be_visible()
    conversation = re.search("conversation=([^&]+)", page.url)[1]
    assert site.api.conversation(conversation).messages[-1].frame == 10
    settle(page)
    expect(at).to_have_text("Frame 12 of 12")
    page.reload()
    expect(at).to_have_text("Frame 12 of 12")


def test_what_was_fetched_is_scrolled_without_the_server(page: Page, site: Site, ct: str) -> None:
    fetched: list[str] = []
    page.on("response", lambda one: fetched.append(one.url) if "/picture/" in one.url else None)
    stage = opened(page, site, ct, "&frame=0")
    for _ in range(300):  # until all that is fetched ahead is there, however slow the machine
        if len(set(fetched)) == 12:
            break
        page.wait_for_timeout(100)
    settle(page)
    page.wait_for_timeout(2_000)  # the last ones are read
    fetched.clear()
    page.mouse.move(*middle(stage))
    for frame in range(2, 13):
        page.mouse.wheel(0, 120)
        expect(page.locator(".at")).to_have_text(f"Frame {frame} of 12")
    assert fetched == []


@pytest.mark.slow
def test_looking_takes_no_question_away(page: Page, site: Site, ct: str) -> None:
    with site.api.ask(AskRequest(image_id=ct, question=FOUND)) as answering:
        *_, last = answering.events()
    begin(page, site, f"/?conversation={last.conversation_id}&image={ct}&frame=0")
    at = page.locator(".at")
    expect(at).to_have_text("Frame 1 of 12")
    page.wait_for_load_state("networkidle")
    lists = ("/conversations", "/conversations/{conversation_id}", "/images", "/studies")
    before = [requests(site, route) for route in lists]
    stage = page.get_by_role("group", name="Picture", exact=True)
    for frame in range(2, 6):
        stage.press("ArrowDown")
        expect(at).to_have_text(f"Frame {frame} of 12")
        page.wait_for_url(re.compile(f"frame={frame - 1}"))  # the page has followed
        settle(page)
    assert [requests(site, route) for route in lists] == before
    page.get_by_role("button", name="Edit", exact=True).click()  # anything else reads it again
    settle(page)
    assert all(requests(site, route) > n for route, n in zip(lists, before, strict=True))


def test_a_drag_sets_the_window_and_ends_at_the_picture_of_the_api(
    page: Page, site: Site, ct: str
) -> None:
    stage = opened(page, site, ct)
    shades = page.locator(".shades")
    expect(shades).to_have_text("C 50 W 400 HU · File's own")
    page.get_by_role("button", name="Lung").click()
    expect(shades).to_have_text("C -600 W 1500 HU · Lung")
    page.wait_for_url(re.compile("centre=-600&width=1500"))
    np.testing.assert_array_equal(pixels(stage), from_api(site, ct, 6, window(-600, 1500)))
    x, y = middle(stage)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30, steps=4)
    page.mouse.up()
    # Down by 30 of 300: the centre rises by a tenth of 1500, to -450. 1500 * exp(40 / 200) = 1832.
    page.wait_for_url(re.compile("centre=-450&width=1832"))
    centre, width = (
        float(re.search(f"{name}=([^&]+)", page.url)[1]) for name in ("centre", "width")
    )
    expect(shades).to_have_text(f"C {centre:.0f} W {width:.0f} HU")
    seen = pixels(stage)
    np.testing.assert_array_equal(seen, from_api(site, ct, 6, window(centre, width)))
    page.get_by_label("Window width").fill("80")
    page.get_by_label("Window centre").fill("40")
    page.get_by_label("Window centre").press("Enter")
    expect(shades).to_have_text("C 40 W 80 HU · Brain")


def test_while_a_window_is_dragged_it_is_seen_at_once(page: Page, site: Site, ct: str) -> None:
    stage = opened(page, site, ct)
    page.wait_for_load_state("networkidle")
    waiting: list[Route] = []
    page.route("**/picture/**", lambda one: waiting.append(one))  # noqa: PLW0108
    x, y = middle(stage)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 30)  # a tenth of 300: the centre of 50 rises by a tenth of 400, to 90
    expect(page.locator(".shades")).to_have_text("C 90 W 400 HU · on its way")
    # (50 - 90) / 400: all shades are a tenth darker until the picture is here.
    line = page.locator("feFuncR").evaluate("e => [e.slope.baseVal, e.intercept.baseVal]")
    assert line == pytest.approx([1.0, -0.1])
    assert "url" in stage.locator("img").evaluate("e => getComputedStyle(e).filter")
    for one in waiting:
        one.continue_()
    page.unroute("**/picture/**")
    page.mouse.up()
    expect(page.locator(".shades")).to_have_text("C 90 W 400 HU")
    assert stage.locator("img").evaluate("e => getComputedStyle(e).filter") == "none"


def test_the_last_picture_stays_when_one_is_refused(page: Page, site: Site, ct: str) -> None:
    stage = opened(page, site, ct)
    page.wait_for_load_state("networkidle")
    said = {"code": "rate_limited", "text": "Slow down. Ask again in 1 s.", "retry_after": 1}
    refuse = lambda route: route.fulfill(status=429, json=said)  # noqa: E731
    page.route("**/picture/**", refuse)
    page.get_by_role("button", name="Bone").click()
    expect(page.locator(".refusal")).to_have_text("Slow down. Ask again in 1 s.")
    np.testing.assert_array_equal(pixels(stage), from_api(site, ct, 6))
    page.unroute("**/picture/**")  # and by itself it is asked for again
    expect(page.locator(".refusal")).to_be_hidden()
    page.wait_for_url(re.compile("centre=400"))
    np.testing.assert_array_equal(pixels(stage), from_api(site, ct, 6, window(400, 1800)))


def test_a_view_is_given_for_a_ticket_alone(page: Page, site: Site, ct: str) -> None:
    tickets: list[str] = []
    page.on("request", lambda one: tickets.append(one.headers.get(TICKET.lower(), "")))
    opened(page, site, ct)
    ticket = next(filter(None, tickets))
    get = page.request.get

    def answer(path: str, ticket: str) -> tuple[int, str]:
        response = get(f"{site.url}/picture/{path}", headers={TICKET: ticket})
        return response.status, response.json()["code"]

    assert get(f"{site.url}/picture/{ct}?frame=3", headers={TICKET: ticket}).body() == (
        site.api.image(ct, frame=3)
    )
    assert get(f"{site.url}/picture/{ct}", headers={TICKET: ticket}).headers["cache-control"] == (
        "no-store"
    )
    assert answer(ct, "") == answer(ct, "another") == (403, "forbidden")
    assert answer(f"{ct}?frame=99", ticket) == (422, "image_frame")
    assert answer(f"{ct}?frame=x", ticket) == (422, "invalid_request")
    assert answer("img_nobody", ticket) == (404, "not_found")


def test_boxes_follow_the_view_they_are_of(page: Page, site: Site, ct: str) -> None:
    request = AskRequest(image_id=ct, question=MARK, frame=2)
    with site.api.ask(request) as answering:
        *_, last = answering.events()
    begin(page, site, f"/?conversation={last.conversation_id}")
    tag, toggle = page.locator(".marks span").first, page.get_by_role("button", name="Boxes")
    expect(page.locator(".at")).to_have_text("Frame 3 of 12")
    expect(tag).to_be_visible()
    stage = page.get_by_role("group", name="Picture", exact=True)
    stage.press("ArrowDown")
    expect(page.locator(".at")).to_have_text("Frame 4 of 12")
    expect(page.locator(".marks span")).to_have_count(0)
    expect(toggle).to_be_hidden()
    page.get_by_role("button", name="Show on the picture").click()
    expect(page.locator(".at")).to_have_text("Frame 3 of 12")
    expect(tag).to_be_visible()
    # Back to a view where one was before: the page follows there, too.
    page.wait_for_url(re.compile("frame=2"))
    stage.press("ArrowDown")
    page.wait_for_url(re.compile("frame=3"))
    stage.press("ArrowUp")
    expect(tag).to_be_visible()
    stage.press("b")
    expect(tag).to_be_hidden()
    assert BOX["label"] in stage.locator("img").get_attribute("alt")


def test_an_answer_that_comes_takes_no_keys_from_the_picture(
    page: Page, site: Site, ct: str
) -> None:
    stage = opened(page, site, ct)
    ask(page, FOUND)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    stage.focus()
    expect(page.get_by_text("Confidence 0.82, not calibrated")).to_be_visible()
    settle(page)
    page.wait_for_timeout(600)  # what comes into view does so a while later
    page.keyboard.press("ArrowDown")
    expect(page.locator(".at")).to_have_text("Frame 7 of 12")


def test_zoom_fit_one_to_one_invert_and_pan(page: Page, site: Site, ct: str) -> None:
    stage = opened(page, site, ct)
    zoom, img = page.locator(".zoom"), stage.locator("img")

    def size() -> float:
        return img.bounding_box()["width"]

    fitted = zoom.inner_text()
    assert int(fitted.split()[0]) >= 100  # 256 pixels: never below 1:1 where there is room
    box = stage.bounding_box()
    assert size() == pytest.approx(min(box["width"], box["height"]), abs=1)
    page.get_by_role("button", name="One pixel").click()
    expect(zoom).to_have_text("100 %")
    assert size() == 256
    stage.press("+")
    expect(zoom).to_have_text("150 %")
    stage.press("0")
    expect(zoom).to_have_text(fitted)
    for _ in range(2):
        page.get_by_role("button", name="Zoom in").click()
    before = img.bounding_box()["x"]
    stage.press("Shift+ArrowLeft")
    assert img.bounding_box()["x"] == before + 40
    page.keyboard.down("Shift")  # without it a drag is the window's
    x, y = middle(stage)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 25, y)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert img.bounding_box()["x"] == before + 15
    stage.press("i")
    assert "invert(1)" in img.evaluate("e => getComputedStyle(e).filter")
    expect(page.get_by_role("button", name="Invert")).to_have_attribute("aria-pressed", "true")


def test_the_picture_has_the_screen(page: Page, site: Site, ct: str) -> None:
    stage = opened(page, site, ct)
    for width, height in ((1920, 1080), (1440, 900), (1280, 760)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_function(WIDE, arg=width)
        assert stage.bounding_box()["width"] >= width / 2
        for one in (
            stage,
            page.get_by_role("button", name="Full screen"),
            page.get_by_test_id("stChatInputTextArea"),
        ):
            expect(one).to_be_in_viewport(ratio=1)
        assert page.evaluate("document.documentElement.scrollWidth") == width
    stage.press("f")
    page.wait_for_function("document.fullscreenElement !== null")
    expect(page.locator(".viewer .notice")).to_be_visible()
    assert stage.bounding_box()["width"] > 1200
    stage.press("ArrowDown")
    expect(page.locator(".at")).to_have_text("Frame 8 of 12")
    stage.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_nothing_lies_over_the_picture_where_the_side_is_folded(
    page: Page, site: Site, ct: str
) -> None:
    page.set_viewport_size({"width": 900, "height": 800})  # it is folded at the load
    stage = opened(page, site, ct)
    unfold = page.get_by_test_id("stExpandSidebarButton")
    expect(unfold).to_be_visible()
    box, button = stage.bounding_box(), unfold.bounding_box()
    assert button["x"] + button["width"] <= box["x"]
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 5)  # at its upper edge, too
    page.mouse.wheel(0, 120)
    expect(page.locator(".at")).to_have_text("Frame 8 of 12")
    unfold.click()
    expect(page.get_by_role("button", name="New conversation")).to_be_in_viewport()


OVERLAPS = """stage => {
  const words = [...stage.querySelectorAll(".corner, .side")].filter(e => e.textContent);
  const boxes = words.map(e => e.getBoundingClientRect());
  const apart = (a, b) =>
    a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
  return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b => !apart(a, b))).length;
}"""


@pytest.mark.parametrize(
    "page",
    [
        {"viewport": {"width": width, "height": height}}
        for width, height in ((720, 450), (360, 640))
    ],
    indirect=True,
    ids=["at twice the size", "narrow"],
)
def test_what_is_written_over_the_picture_stands_apart(page: Page, site: Site, ct: str) -> None:
    stage = opened(page, site, ct)
    expect(stage.get_by_text("Frame 7 of 12")).to_be_visible()
    expect(stage.get_by_text(re.compile("HU"))).to_be_visible()
    assert stage.evaluate(OVERLAPS) == 0


def test_cine_goes_round(page: Page, site: Site, ct: str) -> None:
    opened(page, site, ct, "&frame=10")
    page.get_by_role("button", name="Play").click()
    expect(page.locator(".at")).to_have_text("Frame 12 of 12")
    expect(page.locator(".at")).to_have_text("Frame 2 of 12")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_url(re.compile(r"frame=\d\b"))


def test_what_the_header_says_stands_beside_the_picture(page: Page, site: Site) -> None:
    fields = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [0.5, 0.5]}
    fields |= {"PhotometricInterpretation": "MONOCHROME1", "Modality": "MR"}
    values = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    image = site.api.upload(written(scan(values, **fields, WindowCenter=2000, WindowWidth=4000)))
    stage = opened(page, site, image.image_id)
    letters = [
        page.locator(f".side.{name}").inner_text() for name in ("left", "right", "upper", "lower")
    ]
    assert letters == ["R", "L", "A", "P"]
    expect(page.locator(".shades")).to_have_text("C 2000 W 4000 · File's own")
    expect(page.get_by_role("button", name="Lung")).to_have_count(0)  # no Hounsfield units
    expect(page.locator(".at")).to_be_empty()
    # 64 pixels of 0.5 mm: 32 mm over the picture; a quarter of the stage or less is a round number.
    scale = stage.locator("img").bounding_box()["width"] / 32
    length = page.locator(".scale i").bounding_box()["width"] / scale
    number, unit = page.locator(".scale b").inner_text().split()
    assert length == pytest.approx(float(number) * {"mm": 1, "cm": 10}[unit], rel=0.02)
    plain = site.api.upload(EXAMPLES[0].draw())
    opened(page, site, plain.image_id)
    expect(page.locator(".scale")).to_be_hidden()
    expect(page.get_by_label("Window width")).to_be_hidden()
    expect(page.get_by_role("slider", name="Frame")).to_be_hidden()


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [{"viewport": DESKTOP, "color_scheme": "light"}, {"viewport": PHONE, "color_scheme": "dark"}],
    indirect=True,
    ids=["desktop-light", "phone-dark"],
)
def test_axe_finds_nothing_serious_at_the_desk(page: Page, alone: Site) -> None:
    # Alone: a row of a long list that the foot of the side half covers counts as a small target.
    opened(page, alone, alone.api.upload(EXAMPLES[CT].draw()).image_id)
    settle(page)
    assert serious(page) == []


PHONE_LOOK = {"viewport": PHONE, "has_touch": True}


@pytest.mark.parametrize("page", [PHONE_LOOK], indirect=True, ids=["phone"])
def test_on_a_phone_one_arrives_at_the_picture_and_it_stays_in_sight(
    page: Page, site: Site
) -> None:
    talk = answered(site, 1)
    for _ in range(2):  # a reload, too
        begin(page, site, f"/?conversation={talk}")
        stage = page.get_by_role("group", name="Picture", exact=True)
        expect(stage).to_be_in_viewport(ratio=0.9)
        page.wait_for_timeout(600)  # later than what scrolls to an answer
        expect(stage).to_be_in_viewport(ratio=0.9)
        expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport()
    small = page.get_by_role("button", name="Back to the picture")
    expect(small).to_be_hidden()
    page.mouse.move(200, 700)
    page.mouse.wheel(0, 5000)
    expect(small).to_be_in_viewport(ratio=1)
    assert small.bounding_box()["height"] < 150
    small.click()
    expect(stage).to_be_in_viewport(ratio=0.9)
    expect(small).to_be_hidden()


@pytest.mark.parametrize("page", [PHONE_LOOK], indirect=True, ids=["phone"])
def test_on_a_phone_an_open_side_is_folded_at_the_next_load(
    page: Page, site: Site, read: str
) -> None:
    begin(page, site)
    page.get_by_test_id("stExpandSidebarButton").click()
    expect(page.get_by_test_id("stSidebar")).to_be_in_viewport()
    begin(page, site, f"/?conversation={read}")
    expect(page.get_by_test_id("stSidebar")).not_to_be_in_viewport()
