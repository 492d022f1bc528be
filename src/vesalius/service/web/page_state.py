"""Where a person is: conversation, picture and view. It stands in the URL and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
from pydantic import ValidationError

from vesalius.service.http.schemas import ViewRequest, Window
from vesalius.service.web.views import view_in

_NEXT, _NOW = "looks-on", "is-look"


@dataclass(frozen=True, slots=True)
class PageState:
    """The page's place; a reload, or the same link on another day, leads back to it."""

    conversation: str | None = None
    image: str | None = None
    frame: int | None = None
    window: Window | None = None

    @classmethod
    def read(cls) -> PageState:
        """From the URL; what is not valid in it is as if it were not there."""
        query = st.query_params
        try:
            view = view_in(query, query.get("image", "none"))
        except ValidationError:
            view = ViewRequest(image_id="none")
        return cls(
            query.get("conversation"),
            query.get("image") if view.image_id != "none" else None,
            view.frame,
            view.window,
        )

    def go(self) -> None:
        """Put it into the browser's address, unless it was told so last; the page goes on.

        A link within the page leaves the address bare, so that what the server knows is no proof
        that the browser shows it.
        """
        if st.session_state.get("told") == self:
            return
        st.session_state["told"] = self
        fields = {
            "image": self.image,
            "frame": self.frame,
            "centre": None if self.window is None else f"{self.window.centre:g}",
            "width": None if self.window is None else f"{self.window.width:g}",
            "conversation": self.conversation,
        }
        wanted = {name: str(value) for name, value in fields.items() if value is not None}
        if wanted:
            st.query_params.from_dict(wanted)
        else:
            st.query_params.clear()


def look_on() -> None:
    """The next run of the page is for nothing but another view of its picture."""
    st.session_state[_NEXT] = True


def begin() -> None:
    """A run of the page begins."""
    st.session_state[_NOW] = st.session_state.pop(_NEXT, False)


def is_look() -> bool:
    """Whether this run is for nothing but another view: what was read for the last one will do.

    Going through a stack would use up the requests of questions otherwise.
    """
    return bool(st.session_state.get(_NOW))


def elsewhere() -> None:
    """This is a page without a place; the next one with one tells the browser."""
    st.session_state.pop("told", None)
