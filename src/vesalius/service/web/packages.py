"""The offline package on the review page: out as files, and filled tables in."""

from __future__ import annotations

from functools import partial

import streamlit as st

from vesalius.service.http.review_schemas import TableOut
from vesalius.service.web import notices
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api

_TURN, _RESULT = "tables", "table-result"
"""In the session: how many tables were sent, and what became of the last one."""


def show(api: Api) -> None:
    """Downloads of page and table, and a place for tables that come back."""
    st.caption(
        "For experts who cannot reach this page: the same answers, blinded alike, in one file that "
        "needs no network. It holds the pictures: send it as you would send them, and to nobody "
        "else."
    )
    with st.container(horizontal=True):
        st.download_button(
            "Download the page",
            partial(api.review_package, "page"),
            "review.html",
            "text/html",
            icon=":material/download:",
            type="primary",
            on_click="ignore",
        )
        st.download_button(
            "Download an empty table",
            partial(api.review_package, "table"),
            "ratings.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )
    count = int(st.session_state.get(_TURN, 0))
    sent = st.file_uploader(
        "Take a filled table in (ratings.csv)",
        type="csv",
        key=f"table-{count}",
        help="All of its ratings are taken in, or none and what is wrong. Raters are kept as "
        "hashes of what they called themselves.",
    )
    if sent is not None:
        st.session_state[_RESULT] = _taken_in(api, sent.getvalue())
        st.session_state[_TURN] = count + 1  # a new widget lets go of the file
        st.rerun()
    result = st.session_state.pop(_RESULT, None)
    if isinstance(result, ApiError):
        notices.tell(result)
    elif result is not None:
        st.success(_words(result), icon=":material/check:")


def _taken_in(api: Api, data: bytes) -> TableOut | ApiError:
    try:
        return api.send_table(data)
    except ApiError as error:
        return error


def _words(result: TableOut) -> str:
    empty = f"; {_count(result.empty, 'row')} left empty" if result.empty else ""
    taken = f"{_count(result.ratings, 'rating')} of {_count(result.raters, 'rater')}"
    return f"{taken} taken in{empty}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
