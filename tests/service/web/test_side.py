"""The list at the side of the page, in a real browser: what is in it can be found again."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from browsing import ANSWER, FOUND, Site, answered, begin, needs_chromium, serious
from playwright.sync_api import Locator, Page, expect

from vesalius.data.phantoms.render import png
from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.examples import EXAMPLES

pytestmark = needs_chromium


def rows(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Conversations").get_by_role("listitem")


def test_a_row_has_picture_day_and_opens_its_talk(page: Page, alone: Site) -> None:
    # Alone: what the foot of the side half covers of a long list counts as a small target.
    asked = answered(alone, 2)
    begin(page, alone)
    row = rows(page).filter(has_text=FOUND).first
    expect(row.locator("img")).to_have_js_property("complete", True)
    assert row.locator("img").evaluate("e => e.naturalWidth") > 40
    expect(page.get_by_role("heading", name="Today")).to_be_visible()
    row.get_by_role("link").click()
    expect(page.get_by_text(ANSWER)).to_be_visible()
    page.wait_for_url(re.compile(f"conversation={asked}"))
    expect(rows(page).locator("a[aria-current=page]")).to_have_count(1)
    assert serious(page) == []


def test_a_conversation_is_renamed_and_searched_for(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    title = "Follow-up <b>of March</b>"
    page.locator("li.here a").press("F2")
    page.get_by_label("Title").fill(title)
    page.get_by_role("dialog").get_by_role("button", name="Rename").click()
    expect(page.locator("li.here .title")).to_have_text(title)  # as words, not as HTML
    assert site.api.conversation(asked).title == title
    search = page.get_by_role("searchbox", name="Search conversations")
    search.fill("of march")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(title)
    search.fill("no such words anywhere")
    expect(page.get_by_text("Nothing has these words.")).to_be_visible()
    expect(search).to_be_focused()
    search.fill("")
    expect(page.get_by_text("Nothing has these words.")).to_be_hidden()


def test_deleting_asks_first_and_really_deletes(page: Page, site: Site, asked: str) -> None:
    begin(page, site, f"/?conversation={asked}")
    row = page.locator("li.here")
    row.hover()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert site.api.conversation(asked).turns == 1
    row.get_by_role("link").press("Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Ask about a medical picture")).to_be_visible()
    held = site.api.conversations(limit=100).conversations
    assert asked not in {one.conversation_id for one in held}


def test_an_upload_that_nobody_asked_about_is_listed_and_opens(page: Page, site: Site) -> None:
    image = site.api.upload(new_picture(11))
    begin(page, site)
    expect(page.get_by_role("heading", name="Not asked about yet")).to_be_visible()
    row = page.locator(f"li[data-id={image.image_id}]")
    expect(row).to_contain_text("deleted in 24 h")
    row.get_by_role("link").click()
    expect(page.get_by_alt_text("The uploaded picture as the model sees it")).to_be_visible()
    expect(row).to_have_class("here")
    row.get_by_role("link").press("Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_one_tab_stop_a_row_and_arrows_between_them(page: Page, site: Site, asked: str) -> None:
    answered(site, 0)
    begin(page, site)
    page.get_by_role("searchbox", name="Search conversations").focus()
    at = "(() => { let e = document.activeElement; while (e?.shadowRoot?.activeElement)"
    at += " e = e.shadowRoot.activeElement; return e.closest('li')?.dataset.id ?? e.ariaLabel })()"
    order = rows(page).evaluate_all("items => items.map(item => item.dataset.id)")
    for row_id in order[:3]:
        page.keyboard.press("Tab")
        assert page.evaluate(at) == row_id
    page.keyboard.press("ArrowUp")
    assert page.evaluate(at) == order[1]
    page.keyboard.press("ArrowRight")
    focused = rows(page).nth(1).locator(":focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^(Rename|Delete) “"))
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(at) == order[2]


@pytest.mark.slow
def test_older_ones_come_by_cursor_and_all_can_be_deleted(page: Page, alone: Site) -> None:
    image = alone.api.upload(EXAMPLES[0].draw())
    for _ in range(25):
        with alone.api.ask(AskRequest(image_id=image.image_id, question=FOUND)) as answering:
            list(answering.events())
    begin(page, alone)
    expect(rows(page)).to_have_count(20)
    page.get_by_role("button", name="Show older ones").click()
    expect(rows(page)).to_have_count(25)
    expect(page.get_by_role("button", name="Show older ones")).to_have_count(0)
    page.get_by_role("button", name="Delete all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete")).to_be_disabled()
    dialog.get_by_text("All conversations").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(rows(page)).to_have_count(1)  # the picture, of which nothing is asked any more
    expect(page.get_by_role("heading", name="Not asked about yet")).to_be_visible()
    assert alone.api.conversations().conversations == []
    assert [one.image_id for one in alone.api.new_uploads().images] == [image.image_id]


def new_picture(seed: int) -> bytes:
    """A phantom that no other test uploads."""
    import numpy as np

    from vesalius.data.phantoms.scene import imagine

    rng = np.random.default_rng(seed)
    return png(imagine(rng, "chest_film", build=0.0, pixels=128, difficulty=0.0))
