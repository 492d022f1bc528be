"""The side: a new conversation, the list of those there are, and the other pages."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import streamlit as st

from vesalius.service.web import notices, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.listing import Listing
from vesalius.service.web.page_state import PageState, is_look

MOST = 200
"""Characters of a title."""
_HTML = """
<nav class="listing" aria-label="Conversations">
  <input type="search" aria-label="Search conversations" placeholder="Search" maxlength="200">
  <p class="hint" id="keys">Arrows move between rows. F2 renames, Delete deletes.</p>
  <div class="list" aria-describedby="keys" role="group" aria-label="List"></div>
  <p class="empty" role="status" hidden></p>
  <button type="button" class="more" hidden>Show older ones</button>
</nav>
"""
EVENTS = ("search", "open", "rename", "delete", "more")
NOUNS = {"conversation": "conversation", "image": "picture", "study": "study"}
CONSEQUENCES = {
    "conversation": "Its questions and answers are deleted for good.",
    "image": "It is deleted for good.",
    "study": "All its pictures are deleted for good.",
}
_HERE = files(__package__)


def show(api: Api, chat: Any, others: list[Any], state: PageState) -> None:
    """Draw it; errors of the list stay within it."""
    with st.sidebar:
        if st.button("New conversation", icon=":material/add:", width="stretch", type="primary"):
            st.switch_page(chat)
        _list(api, chat, state)
        with st.container(key="pages"):
            for page in others:
                st.page_link(page)
            if api.user:
                st.caption(words.plain(f"Signed in as {api.user}"))


def _list(api: Api, chat: Any, state: PageState) -> None:
    listing: Listing = st.session_state.setdefault("listing", Listing())
    if not (is_look() and listing.loaded):
        try:
            listing.load(api, (st.session_state.get("list") or {}).get("search") or "")
            listing.load_pictures(api)
        except ApiError as error:
            notices.tell(error)
    data = listing.data(state.conversation or state.image, st.context.timezone)
    _pictures()(key="list-pictures", data=listing.pictures)
    events = {f"on_{name}_change": _nothing for name in EVENTS}
    event = _component()(key="list", data=data, **events)
    if event.open:
        st.switch_page(chat, query_params=listing.place(**event.open))
    if event.more:
        _load_more(api, listing)
    if event.rename:
        st.dialog("Rename this conversation")(_rename)(api, listing, event.rename["id"])
    if event.delete:
        kind, at = event.delete["kind"], event.delete["id"]
        back = chat if at in data["here"] else None
        st.dialog(f"Delete this {NOUNS[kind]}?")(_delete)(api, listing, event.delete, back)
    if data["groups"] and st.button("Delete all", type="tertiary"):
        st.dialog("Delete all")(_delete_all)(api, chat)


def _nothing() -> None:
    """Streamlit runs the page anew at an event that somebody listens to."""


def _load_more(api: Api, listing: Listing) -> None:
    try:
        listing.load_more(api)
    except ApiError as error:
        notices.tell(error)
    else:
        st.rerun()


def _rename(api: Api, listing: Listing, conversation_id: str) -> None:
    title = st.text_input("Title", listing.title(conversation_id), max_chars=MOST, key="new-title")
    if not st.button("Rename", type="primary", disabled=not title.strip()):
        return
    try:
        listing.rename(conversation_id, api.rename(conversation_id, title).title)
    except ApiError as error:
        notices.tell(error)
        return
    st.rerun()


def _delete(api: Api, listing: Listing, row: dict[str, str], back: Any) -> None:
    """Ask first; where it is the one that is open, the page goes ``back``."""
    st.write(words.plain(listing.title(row["id"])))
    st.caption(CONSEQUENCES[row["kind"]])
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:"):
            try:
                delete = {
                    "conversation": api.delete_conversation,
                    "image": api.delete_image,
                    "study": api.delete_study,
                }[row["kind"]]
                delete(row["id"])
            except ApiError as error:
                notices.tell(error)
                return
            listing.drop(row["id"])
            if back is not None:
                st.switch_page(back)
            st.rerun()
        if st.button("Keep it"):
            st.rerun()


def _delete_all(api: Api, chat: Any) -> None:
    talks = st.checkbox("All conversations, with their questions and answers")
    pictures = st.checkbox("All pictures; what was said of them stays")
    st.caption("For good, also what is not in the list now.")
    with st.container(horizontal=True):
        icon = ":material/delete:"
        if st.button("Delete", type="primary", icon=icon, disabled=not (talks or pictures)):
            try:
                talks and api.delete_all("conversations")
                pictures and api.delete_all("images")
            except ApiError as error:
                notices.tell(error)
                return
            for name in ("listing", "pictures", "facts"):
                st.session_state.pop(name, None)
            st.switch_page(chat)
        if st.button("Keep them"):
            st.rerun()


@lru_cache(maxsize=1)
def _pictures() -> Any:
    # Apart from the list: what stays the same is not sent again, and these are most of it.
    js = """export default function ({ data }) {
      if (JSON.stringify(window.vesaliusPictures) === JSON.stringify(data)) return;
      window.vesaliusPictures = data;
      dispatchEvent(new Event("vesalius-pictures"));
    }"""
    return st.components.v2.component("vesalius.pictures", html="<span></span>", js=js)


@lru_cache(maxsize=1)
def _component() -> Any:
    css, js = (_HERE.joinpath(f"listing.{kind}").read_text("utf-8") for kind in ("css", "js"))
    return st.components.v2.component("vesalius.listing", html=_HTML, css=css, js=js)
