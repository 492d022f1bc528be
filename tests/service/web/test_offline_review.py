"""The offline review in a browser: what is entered outlives a reload and comes out as ratings."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from browsing import DESKTOP, PHONE, needs_chromium
from playwright.sync_api import Browser, expect

from vesalius import Recipe
from vesalius.evaluation.rated_systems import ratings_of
from vesalius.evaluation.rating_files import read_ratings
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.review import PAGE, review_package

pytestmark = needs_chromium
AXES = ("accuracy", "relevance", "completeness", "clarity", "helpfulness")


def test_an_expert_rates_without_a_network(browser: Browser, tmp_path: Path) -> None:
    options = {"cases": {"train": 4, "validation": 1, "test": 4}, "size": 40}
    recipe = {"name": "nano", "data": {"dataset": "phantom", "options": options}}
    run = fit(Recipe.model_validate(recipe | {"model": {"name": "majority"}}), tmp_path / "run")
    predict(run)
    review_package([run], 4, tmp_path / "out")
    context = browser.new_context(accept_downloads=True, viewport=DESKTOP)
    page = context.new_page()
    urls: list[str] = []
    faults: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto((tmp_path / "out" / PAGE).as_uri())
    expect(page.get_by_role("status")).to_have_text("0 of 4 rated; your pseudonym is missing")
    expect(page.get_by_role("button", name="Download ratings")).to_be_disabled()
    page.get_by_label("Your pseudonym").fill("ana")
    page.get_by_label("Your pseudonym").blur()
    first, second, third = (page.locator(".item").nth(at) for at in range(3))
    for axis in AXES:
        first.get_by_role("group", name=axis).get_by_label("4").check()
    first.get_by_label("side", exact=True).check()
    first.get_by_label("Comment").fill('left, not "right"')
    second.get_by_label("I cannot judge this").check()
    third.get_by_role("group", name="accuracy").get_by_label("1").check()  # and no other axis
    expect(page.get_by_role("status")).to_have_text("2 of 4 rated")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("2 of 4 rated")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ratings").click()
    saved = tmp_path / "ratings.csv"
    download.value.save_as(saved)
    ratings = ratings_of(run, read_ratings(saved))
    assert {one.prediction for one in ratings} <= {one.id for one in run.predictions()}
    (none,) = [one for one in ratings if not one.axes]
    (whole,) = [one for one in ratings if one.axes]
    assert (whole.rater, none.rater) == ("ana", "ana")
    assert whole.axes == dict.fromkeys(AXES, 4)
    assert (whole.errors, whole.comment) == (("side",), 'left, not "right"')
    assert Axe().run(page).response["violations"] == []
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    context.close()
    assert [url for url in urls if not url.startswith(("file:", "data:", "blob:"))] == []
    assert faults == []
