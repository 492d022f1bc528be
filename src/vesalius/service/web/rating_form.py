"""The form for what somebody thinks of an answer: its picture beside it, a line for each axis.

By mouse, touch or keyboard; which buttons there are, the page says that it stands on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import streamlit as st

from vesalius.cases.rating import AXES, AXIS_QUESTIONS, ERRORS, GRADES
from vesalius.service.http.review_schemas import Grades, RatingRequest, ReviewItem
from vesalius.service.web import viewer, words

SAVE, NO_GRADES, BACK = "save", "cannot_judge", "back"


@dataclass(frozen=True, slots=True)
class Filled:
    """Which button was pressed, if any, and what the form held then."""

    pressed: str | None
    grades: Mapping[str, int | None]
    more: Mapping[str, Any]

    def rating(self, item: ReviewItem) -> RatingRequest | None:
        """The rating; None, and a word about it, where grades are missing."""
        missing = [axis for axis, grade in self.grades.items() if grade is None]
        if self.pressed == SAVE and missing:
            st.warning(f"Please rate {', '.join(missing)}, too.", icon=":material/info:")
            return None
        given = {NO_GRADES: True} if self.pressed == NO_GRADES else self.grades
        return RatingRequest.model_validate({"item_id": item.item_id, **given, **self.more})


@dataclass(frozen=True, slots=True)
class Look:
    """What differs between rating and adjudicating: a name for keys, the words on the buttons.

    ``beside`` are others' ratings, shown at each line; none while one rates.
    """

    name: str
    save: str
    hint: str
    can_go_back: bool
    beside: Sequence[Grades] = field(default=())

    def at(self, axis: str) -> str:
        """What others graded on an axis, as A, B ... in the order in which they are shown."""
        given = (
            f"{chr(ord('A') + n)} {getattr(one, axis) or '–'}" for n, one in enumerate(self.beside)
        )
        return "" if not self.beside else f"  \n:small[{' · '.join(given)}]"

    def comments(self) -> list[str]:
        """What others wrote, by the same letters, as Markdown."""
        return [
            f"**{chr(ord('A') + n)}**: {words.plain(one.comment)}"
            for n, one in enumerate(self.beside)
            if one.comment
        ]

    def marked(self, error: str) -> str:
        """An error's name, and how many of the others marked it."""
        count = sum(error in one.errors for one in self.beside)
        return f"{spoken(error)} ({count})" if count else spoken(error)


def show(item: ReviewItem, image: bytes, look: Look) -> Filled:
    """The answer with its picture, and the form."""
    name = f"{look.name}-{item.item_id}"
    started = st.session_state.setdefault(f"started-{name}", time.monotonic())
    side, main = st.columns(2, gap="large")
    with side:
        viewer.show_picture(image, key=item.item_id, alt="The picture that the answer is about")
    with main, st.form(f"form-{name}", border=False):
        st.markdown(f"**Question**  \n{words.plain(item.question)}")
        with st.container(key="rated-answer"):
            st.markdown(f"**Answer**  \n{words.plain(item.answer)}")
            for comment in look.comments():
                st.markdown(comment)
        before = item.rating or Grades()
        with st.container(key=f"grades-{name}"):
            given = {axis: _scale(axis, name, before, look) for axis in AXES}
        pressed = _buttons(look)
        more = _more(name, before, look)
        st.caption(f"1 is poor, 5 is excellent. {look.hint}")
    _keys()(key="rating-keys", data={"item": name})
    seconds = round(time.monotonic() - started, 1)
    return Filled(pressed, given, more | {"seconds": seconds})


def forget(item_id: str, look_name: str) -> None:
    """Begin anew with the time for which an answer is looked at."""
    st.session_state.pop(f"started-{look_name}-{item_id}", None)


def spoken(name: str) -> str:
    """An axis or an error as a label."""
    return name.replace("_", " ").capitalize()


def _buttons(look: Look) -> str | None:
    with st.container(horizontal=True, key="rating-buttons"):
        pressed = {
            SAVE: st.form_submit_button(look.save, type="primary"),
            NO_GRADES: st.form_submit_button("Cannot judge"),
            BACK: st.form_submit_button("Back", disabled=not look.can_go_back),
        }
    return next((name for name, is_pressed in pressed.items() if is_pressed), None)


def _more(name: str, before: Grades, look: Look) -> dict[str, Any]:
    errors = st.pills(
        "What is wrong with it, if anything?",
        ERRORS,
        selection_mode="multi",
        default=before.errors,
        format_func=look.marked,
        key=f"errors-{name}",
        help="  \n".join(f"**{spoken(error)}**: {means}" for error, means in ERRORS.items()),
    )
    comment = st.text_area(
        "In your words",
        before.comment or "",
        max_chars=2000,
        height=80,
        key=f"comment-{name}",
        placeholder="No names or other patient data, please",
    )
    return {"errors": errors, "comment": comment or None}


def _scale(axis: str, name: str, before: Grades, look: Look) -> int | None:
    chosen: int | None = st.segmented_control(
        f"{spoken(axis)}: {AXIS_QUESTIONS[axis]}{look.at(axis)}",
        GRADES,
        default=getattr(before, axis),
        key=f"{axis}-{name}",
    )
    return chosen


@lru_cache(maxsize=1)
def _keys() -> Any:
    js = files(__package__).joinpath("review.js").read_text(encoding="utf-8")
    return st.components.v2.component("vesalius.rating_keys", html="<span></span>", js=js)
