"""Adjudication on the review page: an answer that raters disagree about, and the final word."""

from __future__ import annotations

import streamlit as st

from vesalius.service.http.review_schemas import DisputedItem
from vesalius.service.web import rating_form
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.rating_form import BACK, Look

_AGAIN, _LAST = "adjudicate-again", "adjudicate-last"
"""In the session: the item that was gone back to, and the last one that was ended."""
_NAME = "final"
_HINT = "Keys: 1 to 5 grade the marked line, ↑ and ↓ choose another, Enter saves, C cannot judge."


def show(api: Api) -> None:
    """The next answer in dispute with its ratings, and a form for the final word."""
    try:
        state = api.adjudication(st.session_state.get(_AGAIN))
    except ApiError:
        st.session_state.pop(_AGAIN, None)
        raise
    st.caption(
        "Raters' grades of these answers lie two or more apart. You see what they said, not who "
        "they are: at every answer the letters stand for others. Your final word is kept beside "
        "their ratings."
    )
    total = state.open + state.done
    st.progress(state.done / total if total else 1.0, f"{state.done} of {total} adjudicated")
    last = st.session_state.get(_LAST)
    if state.item is None:
        st.success("Nothing is left to adjudicate.", icon=":material/check:")
        if last and st.button("Back to the last one"):
            _go_back(last)
        return
    _adjudicate(api, state.item, last if last != state.item.item_id else None)


def _adjudicate(api: Api, item: DisputedItem, last: str | None) -> None:
    image = api.review_picture(item.item_id)
    look = Look(_NAME, "Save as final", _HINT, last is not None, item.ratings)
    filled = rating_form.show(item, image, look)
    if filled.pressed == BACK and last:
        _go_back(last)
    if filled.pressed is None or filled.pressed == BACK:
        return
    if (rating := filled.rating(item)) is not None:
        api.adjudicate(rating)
        rating_form.forget(item.item_id, _NAME)
        st.session_state.pop(_AGAIN, None)
        st.session_state[_LAST] = item.item_id
        st.rerun()


def _go_back(item_id: str) -> None:
    st.session_state[_AGAIN] = item_id
    rating_form.forget(item_id, _NAME)
    st.rerun()
