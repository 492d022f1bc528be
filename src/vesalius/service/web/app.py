"""The page that Streamlit runs; see ``vesalius web``."""

from __future__ import annotations

import streamlit as st

from vesalius.service.web import chat, pages, sidebar, style, viewer, who
from vesalius.service.web.here import Here


def main() -> None:
    """Lay out the page and run the one that was asked for."""
    st.set_page_config(page_title="Vesalius", page_icon=style.MARK, layout="wide")
    style.lay()
    asked = st.Page(chat.page, title="Chat", default=True)
    others = [
        st.Page(pages.card, title="Model card", icon=":material/description:", url_path="card"),
        st.Page(pages.about, title="About and safety", icon=":material/info:", url_path="about"),
    ]
    chosen = st.navigation([asked, *others], position="hidden")
    api = who.api()
    sidebar.show(api, asked, others, Here.read())
    viewer.arrive(f"{chosen.url_path} {Here.read().conversation}")
    chosen.run()


main()
