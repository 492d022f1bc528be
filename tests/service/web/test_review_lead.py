"""Leading a review in a browser: the final word, the package out, a filled table in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import PHONE, Site, begin, needs_chromium, serious, settle, started
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from vesalius.cases.rating import AXES
from vesalius.cli.main import app
from vesalius.run import Run
from vesalius.steps.review import PAGE, review_package

pytestmark = [needs_chromium, pytest.mark.slow]


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[Site]:
    """Page and service with two answers and their references up for review."""
    recipe, run = tmp_path / "r.yaml", str(tmp_path / "run")
    cases = "{dataset: phantom, options: {cases: {train: 16, validation: 4, test: 4}}}"
    recipe.write_text(f"name: majority\ndata: {cases}\nmodel: {{name: majority}}\n")
    for words in (["fit", str(recipe), "--run", run], ["predict", "--run", run]):
        assert CliRunner().invoke(app, words).exit_code == 0
    words = ("--run", run, "--review", "2", "--review-with", "references")
    with started(tmp_path, *words) as found:
        yield found


def filled(site: Site, rater: str, grade: int, **more: str) -> bytes:
    """The package's table, every answer graded the same."""
    rows = list(csv.DictReader(io.StringIO(site.api.review_package("table").decode())))
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    grades = {"rater": rater} | dict.fromkeys(AXES, str(grade))
    writer.writerows(row | grades | more for row in rows)
    return file.getvalue().encode()


def part(page: Page, name: str) -> None:
    page.get_by_role("radio", name=name).click()
    settle(page)


def test_the_final_word_is_given_by_keyboard_and_by_touch(page: Page, reviewed: Site) -> None:
    reviewed.api.send_table(filled(reviewed, "Ana Poe", 1, errors="side", comment="left *too*"))
    reviewed.api.send_table(filled(reviewed, "Bo Lee", 4))
    begin(page, reviewed, "/review")
    expect(page.get_by_text("0 of 4 rated")).to_be_visible()
    expect(page.get_by_text("left *too*")).to_have_count(0)  # while one rates
    part(page, "Adjudicate (4)")
    expect(page.get_by_text("0 of 4 adjudicated")).to_be_visible()
    expect(page.get_by_text("left *too*")).to_be_visible()
    expect(page.get_by_role("button", name="Side (1)")).to_be_visible()
    lines = page.locator("[class*=st-key-grades]").get_by_text("A ")
    expect(lines).to_have_count(len(AXES))
    assert sorted(lines.first.inner_text().replace("·", "").split()) == ["1", "4", "A", "B"]
    assert not any(name in page.content() for name in ("Ana", "Poe", "Bo Lee", "own_"))
    assert serious(page) == []
    expect(page.get_by_role("button", name="Save as final")).to_be_in_viewport()
    at = page.locator("[class*=st-key-grades] [data-at]")
    expect(at).to_contain_text("Accuracy")
    for key in ("3", "3", "3", "3", "2", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_text("1 of 4 adjudicated")).to_be_visible()
    settle(page)
    page.get_by_role("button", name="Back", exact=True).click()
    checked = page.locator("[class*=st-key-grades] [aria-checked=true]")
    expect(checked).to_have_text(["3", "3", "3", "3", "2"])
    settle(page)
    page.set_viewport_size(PHONE)
    page.locator("[class*=st-key-grades]").get_by_role("radiogroup").first.get_by_text(
        "4", exact=True
    ).click()
    page.get_by_role("button", name="Save as final").click()
    expect(checked).to_have_count(0)
    for done in (2, 3, 4):
        settle(page)
        page.get_by_role("button", name="Cannot judge").click()
        expect(page.get_by_text(f"{done} of 4 adjudicated")).to_be_visible()
    expect(page.get_by_text("Nothing is left to adjudicate.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert serious(page) == []
    state = reviewed.api.adjudication()
    assert (state.open, state.done) == (0, 4)


def test_the_package_goes_out_and_its_table_comes_in(
    page: Page, reviewed: Site, tmp_path: Path
) -> None:
    begin(page, reviewed, "/review")
    part(page, "Offline package")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the page").click()
    saved = tmp_path / "page.html"
    download.value.save_as(saved)
    review_package([Run.open(tmp_path / "run")], 2, tmp_path / "out", references=True)
    assert saved.read_bytes() == (tmp_path / "out" / PAGE).read_bytes()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download an empty table").click()
    assert download.value.suggested_filename == "ratings.csv"

    def send(data: bytes) -> None:
        settle(page)
        file = {"name": "ratings.csv", "mimeType": "text/csv", "buffer": data}
        page.locator("input[type=file]").set_input_files(file)

    send(filled(reviewed, "Ana Poe", 7))
    expect(page.get_by_text("line 2: not a rating row: accuracy is 1 to 5, not 7")).to_be_visible()
    send(filled(reviewed, "Ana Poe", 3))
    expect(page.get_by_text("4 ratings of 1 rater taken in.")).to_be_visible()
    send(filled(reviewed, "Ana Poe", 3))
    expect(page.get_by_text("has rated these answers here before")).to_be_visible()
    assert serious(page) == []
    text = reviewed.log.read_text()
    assert "Poe" not in text
