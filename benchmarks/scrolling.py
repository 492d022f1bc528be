"""The wheel over a stack on the page: is every frame there at once, after it was seen?

    python benchmarks/scrolling.py

Starts page and service, uploads a drawn chest CT of 30 slices of 512 x 512 pixels, opens it in Chromium
and wheels through it ten times, to and fro. Prints, for the first pass and for the others, the
milliseconds from a turn of the wheel to the frame's being painted; then a pass as fast as the wheel
turns. Anything that fails, in the page or on the way to it, is an error and exit code 1.
"""

from __future__ import annotations

import argparse
import shutil
import sys

import numpy as np
from playwright.sync_api import Page, expect, sync_playwright
from side import ARGS, WAIT, service

from vesalius.service.web.examples import chest_ct

MOST = 100.0
"""Milliseconds in which a frame that was seen is there again."""
WATCH = """stage => {
  let turned = 0;
  window.delays = [];
  stage.addEventListener("wheel", () => { turned = performance.now(); }, true);
  new MutationObserver(() => {
    // Painted: by the frame after the one in which it was put there.
    const painted = () => window.delays.push(performance.now() - turned);
    requestAnimationFrame(() => requestAnimationFrame(painted));
  }).observe(stage, { childList: true });
}"""


def main() -> int:
    """Wheel, print, and say whether it is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--passes", type=int, default=10)
    options = parser.parse_args()
    with service() as (url, api), sync_playwright() as started:
        image = api.upload(chest_ct(options.frames, 512)).image_id
        chromium = started.chromium.launch(executable_path=shutil.which("chromium"), args=ARGS)
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(WAIT)
        expect.set_options(timeout=WAIT)
        errors, views = listening(page)
        page.goto(f"{url}/?image={image}&frame=0")
        at(page, 1, options.frames)
        page.locator(".stage").evaluate(WATCH)
        box = page.get_by_role("group", name="Picture", exact=True).bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        passes = [sweep(page, options.frames, number) for number in range(options.passes)]
        quick = rush(page, options.frames)
        chromium.close()
    print("pass | steps | median | 95th percentile | longest  (ms)")
    tell("first", passes[0])
    tell("others", np.concatenate(passes[1:]))
    print(f"{options.frames - 1} turns without a pause: the last frame after {quick:.0f} ms")
    print(f"{len(views)} views were fetched; {len(errors)} errors {errors[:3]}")
    return int(bool(errors) or np.concatenate(passes[1:]).max() >= MOST)


def listening(page: Page) -> tuple[list[str], list[str]]:
    """What goes wrong from now on, and the views that are fetched."""
    errors: list[str] = []
    views: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda one: errors.append(one.text) if one.type == "error" else None)
    page.on("requestfailed", lambda one: errors.append(one.url))
    page.on("response", lambda one: errors.append(f"{one.status}") if one.status >= 400 else None)
    page.on("request", lambda one: views.append(one.url) if "/picture/" in one.url else None)
    return errors, views


def at(page: Page, frame: int, frames: int) -> None:
    expect(page.locator(".at")).to_have_text(f"Frame {frame} of {frames}")


def sweep(page: Page, frames: int, number: int) -> np.ndarray:
    """One pass, each step seen before the next; even ones go down."""
    order = range(2, frames + 1) if number % 2 == 0 else range(frames - 1, 0, -1)
    before = len(page.evaluate("delays"))
    for frame in order:
        page.mouse.wheel(0, 120 if number % 2 == 0 else -120)
        at(page, frame, frames)
    page.wait_for_function("count => delays.length >= count", arg=before + frames - 1)
    return np.array(page.evaluate("delays")[before:])


def rush(page: Page, frames: int) -> float:
    """Milliseconds from the last of as many turns as there are steps to the last frame."""
    last = page.locator(".at").inner_text()
    down = last.startswith("Frame 1 ")
    before = len(page.evaluate("delays"))
    for _ in range(frames - 1):
        page.mouse.wheel(0, 120 if down else -120)
    at(page, frames if down else 1, frames)
    page.wait_for_function("count => delays.length > count", arg=before)
    return float(page.evaluate("delays.at(-1)"))


def tell(name: str, delays: np.ndarray) -> None:
    high = np.percentile(delays, 95)
    print(
        f"{name:6} | {len(delays):5d} | {np.median(delays):6.1f} | {high:15.1f} | {delays.max():.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
