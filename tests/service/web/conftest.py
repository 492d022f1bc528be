"""Page, service and browser for the tests of the page; the parts of them are in ``browsing``.

They are imported when they are asked for: tests beside them need no browser.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from browsing import Site
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Page and service over saved answers."""
    from browsing import saved, started

    folder = tmp_path_factory.mktemp("web")
    with started(folder, "--replay", str(saved(folder))) as running:
        yield running


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Site]:
    """Page and service of a test's own, that answer at once."""
    from browsing import saved, started

    with started(
        tmp_path, "--replay", str(saved(tmp_path)), VESALIUS_REPLAY_SECONDS="0"
    ) as running:
        yield running


@pytest.fixture(scope="module")  # its event loop must not run under the tests of other modules
def browser() -> Iterator[Browser]:
    from browsing import ARGS, CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield made
        made.close()


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A new visitor; the test fails if the page asks anything of another host."""
    from browsing import DESKTOP, WAIT
    from playwright.sync_api import expect

    said = getattr(request, "param", {"viewport": DESKTOP})
    context = browser.new_context(accept_downloads=True, **said)
    made = context.new_page()
    made.set_default_timeout(WAIT)
    expect.set_options(timeout=WAIT)
    outside: list[str] = []
    made.on("request", lambda asked: outside.append(asked.url))
    yield made
    context.close()
    assert [
        url for url in outside if not re.match(r"(https?://127\.0\.0\.1|data:|blob:)", url)
    ] == []


@pytest.fixture
def asked(site: Site) -> str:
    """A conversation of the test's own, with one answer."""
    from browsing import answered

    return answered(site, 2)


@pytest.fixture(scope="session")
def read(site: Site) -> str:
    """A conversation for tests that change nothing of it."""
    from browsing import answered

    return answered(site, 0)
