"""A visitor at the page: what the browser tests start, open, type and look at."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as Waited

from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.client import Api
from vesalius.service.web.examples import EXAMPLES
from vesalius.service.web.start import free_port

CHROMIUM = os.environ.get("VESALIUS_CHROMIUM") or shutil.which("chromium")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium: scripts/system-packages installs it"
)
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
WAIT = 30_000
DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
FOUND = "Is there anything abnormal?"
DOUBT = "Is it malignant?"
ANSWER = "Yes: a large nodule in the right lower lung, round, with a sharp border and no calcium."
MARK = "Mark what you see."
BOX = {"x": 96, "y": 48, "width": 192, "height": 96, "label": "nodule <i>1</i>", "score": 0.9}
OUTLINE = {"x": 10, "y": 300, "width": 60, "height": 60, "label": "heart"}
OUTLINE["polygon"] = [[10, 300], [70, 300], [40, 360]]
MARKS = {"boxes": [BOX, OUTLINE], "concepts": ["C0028259 <u>Nodule</u>"]}
HEBREW = "האם יש גוש? CT 12"
LONG = [{"case": f"c{n}", "similarity": 0.9 - n / 10, "text": "a nodule, " * 80} for n in range(4)]
MEMBERS = [
    {"member": "near", "answer": {"text": "a <b>nodule</b>"}},
    {"member": "detector", "answer": {"boxes": [BOX]}, "abstained": True},
]
SECONDS = 3.0
"""For which an answer is written: long enough to be stopped."""


def _row(number: int, question: str, answer: Any, sure: float, **said: Any) -> str:
    nearest = {"case": "c1", "similarity": 1.0, "picture": "a.png", "text": "a nodule, right"}
    other = {"case": "c2", "similarity": 0.9, "picture": "b.png", "text": "<b>no</b> nodule"}
    confidence = {"value": sure, "method": "mean token probability"}
    row = {"id": str(number), "question": question, "answer": answer, "confidence": confidence}
    return json.dumps({**row, "evidence": [nearest, other], **said})


@dataclass(frozen=True)
class Site:
    """Where page and service listen, and where they write what they log."""

    url: str
    api: Api
    service: str
    log: Path


@contextmanager
def started(folder: Path, *words: str, **settings: str) -> Iterator[Site]:
    """Page and service, started as a person starts them."""
    port, web_port = free_port(), free_port()
    command = [sys.executable, "-m", "vesalius", "web", *words]
    at = ["--port", str(port), "--web-port", str(web_port), "--state", str(folder / "state")]
    env = {
        **os.environ,
        "VESALIUS_REPLAY_SECONDS": str(SECONDS),
        "VESALIUS_RATE_PER_MINUTE": "100000",
        "VESALIUS_DRAIN": "0",
        "VESALIUS_TEXT_IN_DICOM": "off",  # reading it loads a model of its own
        "OMP_NUM_THREADS": "1",
        **settings,
    }
    log = folder / "log.txt"
    with log.open("w") as errors:
        running = subprocess.Popen(
            [*command, *at], env=env, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        assert "open http://127.0.0.1" in running.stdout.readline()
        with Api(f"http://127.0.0.1:{port}") as api:
            service = f"http://127.0.0.1:{port}"
            yield Site(f"http://127.0.0.1:{web_port}", api, service, log)
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)


def saved(folder: Path) -> Path:
    """Answers to play back."""
    path = folder / "predictions.jsonl"
    rows = [_row(1, FOUND, ANSWER, 0.82), _row(2, DOUBT, "benign", 0.31, abstained=True)]
    rows.append(_row(3, MARK, MARKS, 0.6, evidence=MEMBERS))
    rows.append(_row(4, HEBREW, "אין גוש בריאה, CT 12.", 0.7, evidence=LONG))
    path.write_text("\n".join(rows) + "\n")
    return path


def begin(page: Page, site: Site, at: str = "") -> None:
    page.goto(site.url + at)
    settle(page)


def settle(page: Page) -> None:
    """Until the page's script has run to its end."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')


def choose(page: Page, box: Locator, name: str) -> None:
    """Choose from a list; one that a run of the page closed is opened again, as a hand would."""
    option = page.get_by_role("option", name=name)
    for _ in range(5):
        settle(page)
        box.click()
        try:
            option.click(timeout=3000)
        except Waited:
            continue
        return
    raise AssertionError(f"{name} is not in the list, or the list never stays open")


def upload(page: Page, data: bytes, name: str = "DOE^JANE.png") -> None:
    sent = {"name": name, "mimeType": "image/png", "buffer": data}
    page.locator("input[type=file]").set_input_files(sent)


def ask(page: Page, question: str) -> None:
    box = page.get_by_test_id("stChatInputTextArea")
    expect(box).to_be_enabled()
    box.fill(question)
    box.press("Enter")


def answered(site: Site, example: int, question: str = FOUND) -> str:
    """A new conversation with one answer about an example."""
    # The same bytes are the same picture: what one test deletes must be no other's.
    image = site.api.upload(EXAMPLES[example].draw())
    with site.api.ask(AskRequest(image_id=image.image_id, question=question)) as answering:
        *_, last = answering.events()
    return last.conversation_id


def requests(site: Site, route: str) -> int:
    """How many the service has answered."""
    lines = httpx2.get(f"{site.service}/metrics", trust_env=False).text.splitlines()
    of = [line for line in lines if "requests_total{" in line and f'route="{route}"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in of)


def press_until(page: Page, name: str, *, back: bool = False) -> None:
    """Tab (or Shift+Tab) until what has the focus is called ``name``."""
    called = (
        "(() => { const e = document.activeElement;"
        " return e.ariaLabel || e.placeholder || e.innerText || '' })()"
    )
    for _ in range(60):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate(called).strip() == name:
            return
    raise AssertionError(f"{name} is not reached by Tab")


SIZE = """path => {
  const within = (at, selector) => (at.shadowRoot ?? at).querySelector(selector);
  const box = path.flat().reduce(within, document).getBoundingClientRect();
  return Math.min(box.width, box.height);
}"""
"""The lesser side, in pixels, of the element that axe-core names by its selectors."""


def serious(page: Page) -> list[str]:
    """What axe-core calls serious or critical, targets under 24 px too: rule, and the elements.

    axe-core measures what is in sight: a row that the foot of a long list happens to cover is no
    small target, so an element's own box decides.
    """
    options = {"rules": {"target-size": {"enabled": True}}}
    return [
        f"{one['id']}: {node['target']} {node['html'][:200]}"
        for one in Axe().run(page, options=options).response["violations"]
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
        if one["id"] != "target-size" or page.evaluate(SIZE, node["target"]) < 24
    ]


class Wire:
    """A way to a service that can be cut and mended: connections are passed on, or refused."""

    def __init__(self, port: int) -> None:
        self.to, self.whole, self.ends = port, True, set[socket.socket]()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.whole = False
        for end in list(self.ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.whole = True

    def close(self) -> None:
        self.cut()
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                if not self.whole:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.to))
                for pair in ((near, far), (far, near)):
                    self.ends.add(pair[0])
                    threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, to: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                to.sendall(data)
        for end in (source, to):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextmanager
def page_over(url: str, **environment: str) -> Iterator[str]:
    """The page alone, above a service that runs already; its address."""
    port = free_port()
    command = [sys.executable, "-m", "vesalius", "web", "--api-url", url, "--web-port", str(port)]
    running = subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert b"open http://127.0.0.1" in running.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
