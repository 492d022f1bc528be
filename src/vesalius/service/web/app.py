"""The page that Streamlit runs; see ``vesalius web``."""

from __future__ import annotations

import streamlit as st

from vesalius.service.web import (
    arrival,
    chat,
    identity,
    page_state,
    pages,
    review,
    sidebar,
    style,
)
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState


def main() -> None:
    """Lay out the page and run the one that was asked for."""
    st.set_page_config(
        page_title="Vesalius", page_icon=style.MARK, layout="wide", initial_sidebar_state=256
    )
    page_state.begin()
    style.lay()
    chat_page = st.Page(chat.page, title="Chat", default=True)
    others = [
        st.Page(pages.card, title="Model card", icon=":material/description:", url_path="card"),
        st.Page(pages.about, title="About and safety", icon=":material/info:", url_path="about"),
    ]
    api = identity.api()
    if _reviewed(api):
        icon = ":material/rate_review:"
        rating = st.Page(review.page, title="Review", icon=icon, url_path="review")
        others.insert(0, rating)
    chosen = st.navigation([chat_page, *others], position="hidden")
    sidebar.show(api, chat_page, others, PageState.read())
    arrival.arrive(f"{chosen.url_path} {PageState.read().conversation}")
    chosen.run()


def _reviewed(api: Api) -> bool:
    """Whether there is anything to review; what cannot be asked is told by the page itself."""
    try:
        return identity.version(api).policy.review
    except ApiError:
        return False


main()
