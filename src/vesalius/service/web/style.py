"""The look: one style sheet, the mark, and the line that is always in sight."""

from __future__ import annotations

from importlib.resources import files

import streamlit as st

_HERE = files(__package__)
MARK = str(_HERE.joinpath("favicon.svg"))
NOTICE = "Research use only. Not a medical device."


def lay() -> None:
    """Style sheet and notice; first on every page."""
    css = _HERE.joinpath("style.css").read_text(encoding="utf-8")
    st.html(f"<style>{css}</style>")
    st.html(f'<div class="vs-notice" role="note">{NOTICE}</div>')
    st.logo(MARK, size="large")
