"""Which answer a page goes on hearing: what came, and was not heard, is lost by no click."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")

from streamlit.testing.v1 import AppTest

from vesalius.errors import Refusal
from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.client import Api

NOBODY = "http://127.0.0.1:9"


def look() -> None:
    """Whether this page hears an answer."""
    import streamlit as st

    from vesalius.service.web import asking
    from vesalius.service.web.page_state import PageState

    live = asking.live_here(PageState(*st.session_state["place"]))
    st.text("nothing" if live is None else live.question)


@pytest.mark.parametrize(
    ("asked_in", "place", "heard"),
    [
        (None, (None, "img_1"), "what?"),
        (None, (None, "img_2"), "nothing"),
        (None, ("cnv_1", "img_1"), "nothing"),
        ("cnv_1", ("cnv_1", "img_1"), "what?"),
        ("cnv_1", ("cnv_1", "img_2"), "what?"),  # the talk is the same, the picture another
        ("cnv_1", ("cnv_2", "img_1"), "nothing"),
        ("cnv_1", (None, "img_1"), "nothing"),
    ],
)
def test_what_was_refused_unheard_is_heard_where_it_was_asked(
    asked_in: str | None, place: tuple[str | None, str], heard: str
) -> None:
    with Api(NOBODY) as api:
        request = AskRequest(image_id="img_1", question="what?", conversation_id=asked_in)
        live = api.ask(request)
        with pytest.raises(Refusal, match="cannot be reached"):
            list(live.events())  # it has ended by itself, and the page was made anew meanwhile
        app = AppTest.from_function(look)
        app.session_state["answering"], app.session_state["place"] = live, place
        assert app.run().text[0].value == heard
        live.close()
        assert app.run().text[0].value == "nothing"  # who stopped it wants to hear no more
