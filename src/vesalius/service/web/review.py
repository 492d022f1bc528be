"""The review page: one answer after another, rated by an expert who sees nothing else of it."""

from __future__ import annotations

import streamlit as st

from vesalius.cases.rating import AXES, FAULTS, GRADES
from vesalius.service.http.schemas import RatingRequest, ReviewItem
from vesalius.service.web import identity, notices, viewer, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import elsewhere

AXIS_QUESTIONS = dict(
    zip(
        AXES,
        (
            "Is it right?",
            "Does it answer the question?",
            "Is everything there that matters?",
            "Can it be understood?",
            "Would it help you?",
        ),
        strict=True,
    )
)


def page() -> None:
    """The next answer, its picture, and a form for what the expert thinks of it."""
    elsewhere()
    api = identity.api()
    try:
        review = api.review()
        image = None if review.item is None else api.review_picture(review.item.item_id)
    except ApiError as error:
        st.title("Review")
        notices.tell(error)
        return
    with st.container(key="review"):
        st.title("Review")
        st.caption(
            "Rate each answer by its picture alone. Who or what answered, how sure it was and what "
            "others think is not shown."
        )
        st.progress(
            review.rated / review.total if review.total else 1.0,
            f"{review.rated} of {review.total} rated",
        )
        if review.item is None or image is None:
            st.success("Everything is rated. Thank you.", icon=":material/check:")
            return
        _rate(api, review.item, image)


def _rate(api: Api, item: ReviewItem, image: bytes) -> None:
    side, main = st.columns([5, 7], gap="large")
    with side:
        viewer.show(image, image_id=item.item_id, alt="The picture that the answer is about")
    with main:
        st.markdown(f"**Question**  \n{words.plain(item.question)}")
        st.markdown(f"**Answer**  \n{words.plain(item.answer)}")
        with st.form(f"rate-{item.item_id}", border=False):
            st.caption("1 is poor, 5 is excellent.")
            given = {axis: _scale(axis, item) for axis in AXES}
            errors = st.pills(
                "What is wrong with it, if anything?",
                FAULTS,
                selection_mode="multi",
                format_func=_spoken,
                key=f"errors-{item.item_id}",
            )
            comment = st.text_area(
                "In your words",
                max_chars=2000,
                key=f"comment-{item.item_id}",
                placeholder="No names or other patient data, please",
            )
            if not st.form_submit_button("Save and go on", type="primary"):
                return
        missing = [axis for axis, value in given.items() if value is None]
        if missing:
            st.warning(f"Please rate {', '.join(missing)}, too.", icon=":material/info:")
            return
        rating = {"item_id": item.item_id, "errors": errors, "comment": comment or None}
        try:
            api.rate(RatingRequest.model_validate(rating | given))
        except ApiError as error:
            notices.tell(error)
            return
        st.rerun()


def _scale(axis: str, item: ReviewItem) -> int | None:
    key = f"{axis}-{item.item_id}"
    chosen: int | None = st.segmented_control(
        f"{_spoken(axis)}: {AXIS_QUESTIONS[axis]}", GRADES, key=key
    )
    return chosen


def _spoken(name: str) -> str:
    return name.replace("_", " ").capitalize()
