"""The review page: one answer after another, rated by an expert who sees nothing else of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import streamlit as st

from vesalius.cases.rating import AXES, AXIS_QUESTIONS, ERRORS, GRADES
from vesalius.service.http.review_schemas import Grades, RatingRequest, ReviewItem
from vesalius.service.web import identity, notices, viewer, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import elsewhere

_AGAIN = "review-again"
"""In the session: the item that the expert went back to."""


def page() -> None:
    """The next answer, its picture, and a form for what the expert thinks of it."""
    elsewhere()
    api = identity.api()
    try:
        review = api.review(st.session_state.get(_AGAIN))
        image = None if review.item is None else api.review_picture(review.item.item_id)
    except ApiError as error:
        st.session_state.pop(_AGAIN, None)
        st.title("Review")
        notices.tell(error)
        return
    with st.container(key="review"):
        st.title("Review")
        st.caption(
            "Rate each answer by its picture alone: who or what answered, how sure it was and what "
            "others think is not shown."
        )
        st.progress(
            review.rated / review.total if review.total else 1.0,
            f"{review.rated} of {review.total} rated",
        )
        if review.item is None or image is None:
            st.success("Everything is rated. Thank you.", icon=":material/check:")
            if review.previous and st.button("Back to the last one"):
                _go_back(review.previous)
            return
        _rate(api, review.item, image, review.previous)


def _rate(api: Api, item: ReviewItem, image: bytes, previous: str | None) -> None:
    started = st.session_state.setdefault(f"started-{item.item_id}", time.monotonic())
    side, main = st.columns(2, gap="large")
    with side:
        viewer.show_picture(image, key=item.item_id, alt="The picture that the answer is about")
    with main, st.form(f"rate-{item.item_id}", border=False):
        st.markdown(f"**Question**  \n{words.plain(item.question)}")
        with st.container(key="rated-answer"):
            st.markdown(f"**Answer**  \n{words.plain(item.answer)}")
        before = item.rating or Grades()
        with st.container(key=f"grades-{item.item_id}"):
            given = {axis: _scale(axis, item, getattr(before, axis)) for axis in AXES}
        pressed = _buttons(previous)
        more = _more(item, before)
        st.caption(
            "1 is poor, 5 is excellent. Keys: 1 to 5 rate the marked line, ↑ and ↓ choose another, "
            "Enter saves, C cannot judge, B goes back."
        )
    _keys()(key="rating-keys", data={"item": item.item_id})
    if pressed == "back" and previous:
        _go_back(previous)
    if pressed in {"save", "cannot_judge"}:
        seconds = {"seconds": round(time.monotonic() - started, 1)}
        _save(
            api,
            item,
            {"cannot_judge": True} if pressed == "cannot_judge" else given,
            more | seconds,
        )


def _buttons(previous: str | None) -> str | None:
    """Which button was pressed, if any."""
    with st.container(horizontal=True, key="rating-buttons"):
        pressed = {
            "save": st.form_submit_button("Save and go on", type="primary"),
            "cannot_judge": st.form_submit_button("Cannot judge"),
            "back": st.form_submit_button("Back", disabled=previous is None),
        }
    return next((name for name, is_pressed in pressed.items() if is_pressed), None)


def _more(item: ReviewItem, before: Grades) -> dict[str, Any]:
    errors = st.pills(
        "What is wrong with it, if anything?",
        ERRORS,
        selection_mode="multi",
        default=before.errors,
        format_func=_spoken,
        key=f"errors-{item.item_id}",
        help="  \n".join(f"**{_spoken(name)}**: {means}" for name, means in ERRORS.items()),
    )
    comment = st.text_area(
        "In your words",
        before.comment or "",
        max_chars=2000,
        height=80,
        key=f"comment-{item.item_id}",
        placeholder="No names or other patient data, please",
    )
    return {"errors": errors, "comment": comment or None}


def _save(
    api: Api, item: ReviewItem, given: Mapping[str, int | bool | None], more: Mapping[str, Any]
) -> None:
    missing = [axis for axis, value in given.items() if value is None]
    if missing:
        st.warning(f"Please rate {', '.join(missing)}, too.", icon=":material/info:")
        return
    try:
        api.rate(RatingRequest.model_validate({"item_id": item.item_id, **given, **more}))
    except ApiError as error:
        notices.tell(error)
        return
    for name in (_AGAIN, f"started-{item.item_id}"):
        st.session_state.pop(name, None)
    st.rerun()


def _go_back(item_id: str) -> None:
    st.session_state[_AGAIN] = item_id
    st.session_state.pop(f"started-{item_id}", None)
    st.rerun()


def _scale(axis: str, item: ReviewItem, before: int | None) -> int | None:
    chosen: int | None = st.segmented_control(
        f"{_spoken(axis)}: {AXIS_QUESTIONS[axis]}",
        GRADES,
        default=before,
        key=f"{axis}-{item.item_id}",
    )
    return chosen


@lru_cache(maxsize=1)
def _keys() -> Any:
    js = files(__package__).joinpath("review.js").read_text(encoding="utf-8")
    return st.components.v2.component("vesalius.rating_keys", html="<span></span>", js=js)


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()
