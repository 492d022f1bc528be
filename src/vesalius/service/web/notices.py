"""What the page says when something does not go as wished."""

from __future__ import annotations

import streamlit as st

from vesalius.service.web import words
from vesalius.service.web.api_errors import ApiError


def tell(error: ApiError) -> None:
    """An error: what is wrong, what to do, and the id that finds it in the service's log."""
    text = words.plain(words.error_text(error))
    if error.request_id:
        text += f"  \n:small[Request id {words.plain(error.request_id)}]"
    st.error(text, icon=":material/error:")


def later(error: ApiError) -> None:
    """Keep an error for the next run of the page, which is about to begin."""
    st.session_state["trouble"] = error


def show_pending() -> None:
    """Show what was kept, once."""
    error = st.session_state.pop("trouble", None)
    if isinstance(error, ApiError):
        tell(error)
