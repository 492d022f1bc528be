"""What the page says when something does not go as wished."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import streamlit as st

from vesalius.service.web import words
from vesalius.service.web.api_errors import ApiError


def tell(error: ApiError) -> None:
    """An error: what is wrong, what to do, and the id that finds it in the service's log."""
    text = words.plain(words.error_text(error))
    if error.request_id:
        text += f"  \n:small[Request id {words.plain(error.request_id)}]"
    st.error(text, icon=":material/error:")


def warn(lines: Sequence[str]) -> None:
    """What is wrong with what is shown, in one place."""
    if lines:
        texts = (words.plain(text[:1].upper() + text[1:]) for text in lines)
        st.warning("  \n".join(texts), icon=":material/info:")


AGAIN = {0, 401, 403, 408, 429}
"""Statuses below 500 that may be other ones later; 0: nothing answered."""
WAITS = (5.0, 10.0, 20.0, 40.0, 60.0)
"""Seconds between trials of the page's own, where the service does not say how long."""


def may_pass(error: ApiError) -> bool:
    """Whether the same thing can work later without anybody changing it."""
    return error.status in AGAIN or error.status >= 500


def retry(error: ApiError, key: str) -> bool:
    """A button to try again, and seconds that count down to it; True: it is to be tried now.

    ``key`` names what is tried. The page tries by itself as long as nobody leaves it; nothing is
    offered for what would be refused again.
    """
    if not may_pass(error):
        return False
    trials: dict[str, tuple[int, float]] = st.session_state.setdefault("trials", {})
    count, until = trials.get(key, (0, 0.0))
    if key not in trials or error is not st.session_state.get("trial-error"):
        wait = error.retry_after or WAITS[min(count, len(WAITS) - 1)]
        trials[key] = count, until = count + 1, monotonic() + wait
        st.session_state["trial-error"] = error
    pressed = st.button("Try again", icon=":material/refresh:", key=f"again-{key}", type="primary")
    if pressed or monotonic() >= until:
        return True
    st.fragment(_count_down, run_every=1.0)(until)
    return False


def fails(key: str) -> bool:
    """Whether it did not work when it was last tried."""
    return key in st.session_state.get("trials", {})


def forget(key: str) -> None:
    """What was tried works again."""
    st.session_state.get("trials", {}).pop(key, None)


def _count_down(until: float) -> None:
    left = until - monotonic()
    if left <= 0:
        st.rerun()
    st.caption(f"Trying again by itself in {left:.0f} s")


def later(error: ApiError) -> None:
    """Keep an error for the next run of the page, which is about to begin."""
    st.session_state["trouble"] = error


def show_pending() -> None:
    """Show what was kept, once."""
    error = st.session_state.pop("trouble", None)
    if isinstance(error, ApiError):
        tell(error)
