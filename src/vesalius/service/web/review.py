"""The review page: one answer after another, rated by an expert who sees nothing else of it.

Who leads the review has two more parts: answers to adjudicate, and the offline package.
"""

from __future__ import annotations

import streamlit as st

from vesalius.service.http.review_schemas import ReviewItem, ReviewOut
from vesalius.service.web import adjudicating, identity, notices, packages, rating_form
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import elsewhere
from vesalius.service.web.rating_form import BACK, Look

_AGAIN = "review-again"
"""In the session: the item that the expert went back to."""
_NAME = "rate"
_HINT = (
    "Keys: 1 to 5 rate the marked line, ↑ and ↓ choose another, Enter saves, C cannot judge, "
    "B goes back."
)
RATE, ADJUDICATE, PACKAGE = "Rate", "Adjudicate", "Offline package"


def page() -> None:
    """The part of the review that was chosen."""
    elsewhere()
    api = identity.api()
    with st.container(key="review"):
        st.title("Review")
        try:
            review = _state(api)
            part = RATE if review.disputed is None else _part(review.disputed)
            if part == ADJUDICATE:
                adjudicating.show(api)
            elif part == PACKAGE:
                packages.show(api)
            else:
                _rating(api, review)
        except ApiError as error:
            notices.tell(error)


def _state(api: Api) -> ReviewOut:
    try:
        return api.review(st.session_state.get(_AGAIN))
    except ApiError:
        st.session_state.pop(_AGAIN, None)
        raise


def _part(disputed: int) -> str:
    """Which part of the review is looked at, of those who lead it."""
    counts = {ADJUDICATE: f" ({disputed})"} if disputed else {}
    chosen = st.segmented_control(
        "Part of the review",
        (RATE, ADJUDICATE, PACKAGE),
        default=RATE,
        required=True,
        format_func=lambda name: name + counts.get(name, ""),
        key="review-part",
        label_visibility="collapsed",
    )
    return chosen or RATE


def _rating(api: Api, review: ReviewOut) -> None:
    """The next answer, its picture, and a form for what the expert thinks of it."""
    st.caption(
        "Rate each answer by its picture alone: who or what answered, how sure it was and what "
        "others think is not shown."
    )
    done = review.rated / review.total if review.total else 1.0
    st.progress(done, f"{review.rated} of {review.total} rated")
    if review.item is None:
        st.success("Everything is rated. Thank you.", icon=":material/check:")
        if review.previous and st.button("Back to the last one"):
            _go_back(review.previous)
        return
    image = api.review_picture(review.item.item_id)
    _rate(api, review.item, image, review.previous)


def _rate(api: Api, item: ReviewItem, image: bytes, previous: str | None) -> None:
    look = Look(_NAME, "Save and go on", _HINT, previous is not None)
    filled = rating_form.show(item, image, look)
    if filled.pressed == BACK and previous:
        _go_back(previous)
    if filled.pressed is None or filled.pressed == BACK:
        return
    if (rating := filled.rating(item)) is not None:
        api.rate(rating)
        rating_form.forget(item.item_id, _NAME)
        st.session_state.pop(_AGAIN, None)
        st.rerun()


def _go_back(item_id: str) -> None:
    st.session_state[_AGAIN] = item_id
    rating_form.forget(item_id, _NAME)
    st.rerun()
