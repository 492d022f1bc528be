"""A picture that can be zoomed and moved, by mouse, touch and keyboard."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import streamlit as st
from PIL import Image

from vesalius.service.http.answer_schemas import BoxOut

_HTML = """
<div class="viewer">
  <div class="frame"><div class="stage" tabindex="0" role="group"
    aria-label="Picture. Plus and minus zoom, 0 fits, arrows move, B hides boxes."><img alt=""
    ><div class="marks" aria-hidden="true"></div></div></div>
  <div class="tools" role="group" aria-label="Zoom">
    <button type="button" class="out" aria-label="Zoom out">−</button>
    <span class="said" aria-live="polite">1.0×</span>
    <button type="button" class="in" aria-label="Zoom in">+</button>
    <button type="button" class="fit" aria-label="Fit the picture">Fit</button>
    <button type="button" class="toggle" aria-pressed="true" hidden>Boxes</button>
  </div>
</div>
"""
_END = "<span></span>"
_END_JS = """
export default function ({ data, parentElement }) {
  const span = parentElement.querySelector("span"), talk = document.querySelector(".st-key-talk");
  if (talk) Object.assign(talk, { role: "log", ariaLabel: "Questions and answers" });
  if (!span || span.at === data.at) return;
  span.at = data.at;
  // Later than Streamlit's own scrolling to the bottom, which happens as the content grows.
  setTimeout(() => {
    // Only the page's own scroller: scrollIntoView would also move what holds it.
    const main = document.querySelector(".stMain");
    const top = data.move && main ? main.scrollHeight : 0;
    if (main) main.scrollTo({ top, behavior: "instant" });
    // On a touch screen the focus would raise the keyboard over the answer.
    const box = document.querySelector('[data-testid="stChatInputTextArea"]');
    if (box && matchMedia("(pointer: fine)").matches) box.focus({ preventScroll: true });
  }, 350);
}
"""
_DOOR_JS = """
let place;
export default function ({ data }) {
  const first = place === undefined, moved = place !== data.place;
  place = data.place;
  if (first || !moved || innerWidth > 768) return;
  document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
}
"""


TINTS = ("#ffd166", "#5cc8ff", "#ff8fa3", "#7ae582", "#c8a2ff", "#ffab5c")
"""Colours of boxes by label; all are told from a grey picture and from each other."""


def tints(boxes: Sequence[BoxOut]) -> list[str]:
    """A colour for each box: one for each label, in the order in which labels come."""
    labels = list(dict.fromkeys(box.label for box in boxes))
    return [TINTS[labels.index(box.label) % len(TINTS)] for box in boxes]


def show(png: bytes, *, image_id: str, alt: str, boxes: Sequence[BoxOut] = ()) -> None:
    """Show a picture with boxes over it, in its pixels.

    Zoom, and whether the boxes are shown, stay while ``image_id`` stays the same.
    """
    with Image.open(BytesIO(png)) as image:
        width, height = image.size
    src = "data:image/png;base64," + b64encode(png).decode()
    if boxes:
        alt += f". Marked: {', '.join(box.label for box in boxes)}"
    marks = [
        {**box.model_dump(), "tint": tint} for box, tint in zip(boxes, tints(boxes), strict=True)
    ]
    about = {
        "src": src, "alt": alt, "key": image_id, "width": width, "height": height, "marks": marks
    }  # fmt: skip
    _viewer()(key="viewer", data=about)


def end(at: str, *, move: bool) -> None:
    """The foot of the talk: where ``at`` is new it comes into view, or without ``move`` the top."""
    _foot()(key="foot", data={"at": at, "move": move})


@lru_cache(maxsize=1)
def _viewer() -> Any:
    css, js = (_text(f"viewer.{kind}") for kind in ("css", "js"))
    return st.components.v2.component("vesalius.viewer", html=_HTML, css=css, js=js)


def arrive(place: str) -> None:
    """On a phone the side covers the page; where ``place`` is new it is folded away."""
    _door()(key="door", data={"place": place})


@lru_cache(maxsize=1)
def _door() -> Any:
    return st.components.v2.component("vesalius.door", html=_END, js=_DOOR_JS)


@lru_cache(maxsize=1)
def _foot() -> Any:
    return st.components.v2.component("vesalius.foot", html=_END, js=_END_JS)


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
