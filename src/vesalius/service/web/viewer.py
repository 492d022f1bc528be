"""A picture that can be zoomed and moved, by mouse, touch and keyboard."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import streamlit as st
from PIL import Image

_HTML = """
<div class="viewer">
  <div class="frame"><div class="stage" tabindex="0" role="group"
    aria-label="Picture. Plus and minus zoom, 0 fits, arrows move."><img alt=""></div></div>
  <div class="tools" role="group" aria-label="Zoom">
    <button type="button" class="out" aria-label="Zoom out">−</button>
    <span class="said" aria-live="polite">1.0×</span>
    <button type="button" class="in" aria-label="Zoom in">+</button>
    <button type="button" class="fit" aria-label="Fit the picture">Fit</button>
  </div>
</div>
"""
_END = "<span></span>"
_END_JS = """
export default function ({ data, parentElement }) {
  const span = parentElement.querySelector("span");
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


def show(png: bytes, *, image_id: str, alt: str) -> None:
    """Show a picture; its zoom is kept while ``image_id`` stays the same."""
    with Image.open(BytesIO(png)) as image:
        width, height = image.size
    src = "data:image/png;base64," + b64encode(png).decode()
    about = {"src": src, "alt": alt, "key": image_id, "width": width, "height": height}
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
