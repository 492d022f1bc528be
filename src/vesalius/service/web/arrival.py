"""Where a page comes into view: the foot of the talk, and the side that is folded on a phone."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import streamlit as st

_END = "<span></span>"
_END_JS = """
// Streamlit scrolls on as content comes; until a hand does, or all has come, the top is held.
function stay(main) {
  const hold = () => main.scrollTo({ top: 0, behavior: "instant" });
  const hands = ["pointerdown", "wheel", "touchmove", "keydown"];
  const free = () => {
    main.removeEventListener("scroll", hold);
    hands.forEach((name) => removeEventListener(name, free, true));
  };
  main.addEventListener("scroll", hold);
  hands.forEach((name) => addEventListener(name, free, true));
  setTimeout(free, 2500);
}
export default function ({ data, parentElement }) {
  const span = parentElement.querySelector("span"), talk = document.querySelector(".st-key-talk");
  if (talk) Object.assign(talk, { role: "log", ariaLabel: "Questions and answers" });
  if (!span || span.at === data.at) return;
  const other = span.picture !== data.picture;
  Object.assign(span, data);
  // Later than Streamlit's own scrolling to the bottom, which happens as the content grows.
  setTimeout(() => {
    // Only the page's own scroller: scrollIntoView would also move what holds it.
    const main = document.querySelector(".stMain");
    // On a phone a talk that is opened begins at its picture; what is asked there is followed.
    const opened = other && innerWidth <= 640 && !data.going;
    const top = data.move && main && !opened ? main.scrollHeight : 0;
    if (main) main.scrollTo({ top, behavior: "instant" });
    if (main && opened) stay(main);
    // On a touch screen the focus would raise the keyboard over the answer; and it is taken from
    // nothing that has it: whoever scrolls the picture by keys goes on while an answer comes.
    const box = document.querySelector('[data-testid="stChatInputTextArea"]');
    const free = document.activeElement === document.body && matchMedia("(pointer: fine)").matches;
    if (box && free) box.focus({ preventScroll: true });
  }, 350);
}
"""
_DOOR_JS = """
let place;
export default function ({ data }) {
  const moved = place !== data.place;
  place = data.place;
  if (!moved || innerWidth >= 1024) return;
  const side = document.querySelector('[data-testid="stSidebar"][data-collapsed="false"]');
  side?.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click();
}
"""

_SIGHT_JS = """
export default function ({ data }) {
  setTimeout(() => {
    const main = document.querySelector(".stMain"), it = document.querySelector(`.st-key-${data}`);
    const below = document.querySelector('[data-testid="stBottom"]');
    if (!main || !it) return;
    const end = Math.min(innerHeight, below?.getBoundingClientRect().top ?? innerHeight);
    const over = it.getBoundingClientRect().bottom - end;
    if (over > 0) main.scrollBy({ top: over + 8, behavior: "instant" });
  }, 100);
}
"""


def end(at: str, *, picture: str | None, move: bool, going: bool) -> None:
    """The foot of the talk: where ``at`` is new it comes into view, or without ``move`` the top.

    On a phone it is the top, too, where ``picture`` is new; ``going``: an answer is being written.
    """
    _foot()(key="foot", data={"at": at, "picture": picture, "move": move, "going": going})


def arrive(place: str) -> None:
    """Fold the side away where ``place`` is new: it covers a phone, and half of a tablet.

    Also where one comes to it from elsewhere and the browser remembers that it was open.
    """
    _door()(key="door", data={"place": place})


@lru_cache(maxsize=1)
def _door() -> Any:
    return st.components.v2.component("vesalius.door", html=_END, js=_DOOR_JS)


@lru_cache(maxsize=1)
def _foot() -> Any:
    return st.components.v2.component("vesalius.foot", html=_END, js=_END_JS)


def reveal(key: str) -> None:
    """Bring a container by its key into sight, above what lies over the foot of the page."""
    _sight()(key="sight", data=key)


@lru_cache(maxsize=1)
def _sight() -> Any:
    return st.components.v2.component("vesalius.sight", html=_END, js=_SIGHT_JS)
