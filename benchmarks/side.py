"""The list at the side of the page: is it as quick with 180 rows in it as with 20?

    python benchmarks/side.py

Starts page and service with an echo for a model, asks 180 questions, each a conversation of its own,
and opens the page in Chromium. Prints the median seconds from opening the page to its rows, and from a
click on a row to its answer, with 20 and then with all 180 rows loaded.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, Page, expect, sync_playwright

from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.client import Api
from vesalius.service.web.examples import EXAMPLES
from vesalius.service.web.listing import PAGE
from vesalius.service.web.start import free_port

ARGS = ["--no-sandbox", "--disable-gpu"]
WAIT = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=180)
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    with service() as (url, api):
        seed(api, options.rows)
        with sync_playwright() as started:
            chromium = started.chromium.launch(executable_path=shutil.which("chromium"), args=ARGS)
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(WAIT)
            expect.set_options(timeout=WAIT)
            print("rows | page opened | row opened  (median s)")
            begun = statistics.median(timed(lambda: arrive(page, url)) for _ in range(5))
            print(f"{rows(page).count():4d} | {begun:.2f} | {opening(page, options.times):.2f}")
            for loaded in range(2 * PAGE, options.rows + PAGE, PAGE):
                page.get_by_role("button", name="Show older ones").click()
                expect(rows(page)).to_have_count(min(options.rows, loaded))
            print(f"{rows(page).count():4d} |      | {opening(page, options.times):.2f}")
            chromium.close()


@contextmanager
def service() -> Iterator[tuple[str, Api]]:
    """The page's address, and the API below it."""
    port, web_port = free_port(), free_port()
    settings = {"VESALIUS_RATE_PER_MINUTE": "100000", "VESALIUS_REPLAY_SECONDS": "0"}
    with tempfile.TemporaryDirectory() as state:
        command = [sys.executable, "-m", "vesalius", "web", "--replay", "echo", "--state", state]
        running = subprocess.Popen(
            [*command, "--port", str(port), "--web-port", str(web_port)],
            env=os.environ | settings | {"VESALIUS_TEXT_IN_DICOM": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            running.stdout.readline()
            with Api(f"http://127.0.0.1:{port}") as api:
                yield f"http://127.0.0.1:{web_port}", api
        finally:
            running.send_signal(signal.SIGTERM)
            running.communicate(timeout=60)


def seed(api: Api, count: int) -> None:
    """Conversations of one question, about the drawn examples in turns."""
    images = [api.upload(example.draw()).image_id for example in EXAMPLES]
    for number in range(count):
        asked = AskRequest(image_id=images[number % len(images)], question=f"question {number}?")
        list(api.ask(asked).events())


def rows(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Conversations").get_by_role("listitem")


def arrive(page: Page, url: str) -> None:
    page.goto(url)
    expect(rows(page)).to_have_count(PAGE)


def opening(page: Page, times: int) -> float:
    """Median seconds from a click on a row to the question of that conversation as the title."""

    def open_row(number: int) -> None:
        row = rows(page).nth(number)
        title = row.locator(".title").inner_text()
        row.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()

    open_row(0)
    return statistics.median(timed(lambda n=n: open_row(n)) for n in range(1, times + 1))


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
