"""A button that copies text, also where the page is not served over TLS."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import streamlit as st

_HTML = """
<button type="button"><svg viewBox="0 0 24 24" aria-hidden="true"><path
  d="M9 9h11v11H9zM5 15H4V4h11v1"/></svg><span aria-live="polite">Copy</span></button>
"""
_CSS = """
button { all: unset; box-sizing: border-box; display: inline-flex; align-items: center; gap: .45rem;
  min-height: 2rem; padding: .2rem; cursor: pointer; border-radius: 6px;
  font: .88rem var(--st-font); color: var(--st-text-color); }
button:hover { color: var(--st-primary-color); }
button:focus-visible { outline: 3px solid var(--st-primary-color); }
svg { width: 1.1rem; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round; }
"""
_JS = """
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP there is only the old way.
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("not allowed");
}
export default function ({ data, parentElement }) {
  const button = parentElement.querySelector("button"), word = button.querySelector("span");
  button.onclick = async () => {
    word.textContent = await copy(data).then(() => "Copied", () => "Copying is not allowed here");
    setTimeout(() => { word.textContent = "Copy"; }, 2000);
  };
}
"""


def button(text: str, *, key: str) -> None:
    """A button that puts ``text`` on the clipboard and says so."""
    _component()(key=f"copy-{key}", data=text, width="content")


@lru_cache(maxsize=1)
def _component() -> Any:
    return st.components.v2.component("vesalius.copy", html=_HTML, css=_CSS, js=_JS)
