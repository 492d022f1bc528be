"""The side: a new conversation, the ones there are, and the other pages."""

from __future__ import annotations

from typing import Any

import streamlit as st

from vesalius.service.http.answer_schemas import ConversationOut
from vesalius.service.web import notices, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState

TITLE = 60
"""Characters of a title that are shown."""
PAGE = 20


def show(api: Api, chat: Any, others: list[Any], state: PageState) -> None:
    """Draw it; errors of the list stay within it."""
    with st.sidebar:
        if st.button("New conversation", icon=":material/add:", width="stretch", type="primary"):
            st.switch_page(chat)
        _conversations(api, chat, state)
        with st.container(key="pages"):
            for page in others:
                st.page_link(page)
            if api.user:
                st.caption(words.plain(f"Signed in as {api.user}"))


def _conversations(api: Api, chat: Any, state: PageState) -> None:
    held: list[ConversationOut] = []
    cursor, pages = None, int(st.session_state.get("pages_shown", 1))
    try:
        for _ in range(pages):
            page = api.conversations(limit=PAGE, before=cursor)
            held += page.conversations
            cursor = page.next
            if cursor is None:
                break
    except ApiError as error:
        notices.tell(error)
        return
    with st.container(key="conversations", gap=None):
        st.caption("Conversations" if held else "No conversations yet")
        for one in held:
            _row(api, chat, one, current=one.conversation_id == state.conversation)
    if cursor is not None and st.button("Show older ones", type="tertiary"):
        st.session_state["pages_shown"] = pages + 1
        st.rerun()


def _row(api: Api, chat: Any, one: ConversationOut, *, current: bool) -> None:
    title = one.title or "Untitled"
    label = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
    kind = "here" if current else "row"
    with st.container(
        key=f"{kind}-{one.conversation_id}",
        horizontal=True,
        vertical_alignment="center",
        gap=None,
        wrap=False,
    ):
        at = {"conversation": one.conversation_id}
        st.page_link(chat, label=words.plain(label), query_params=at, width="stretch")
        st.caption(words.when(one.updated_at, st.context.timezone))
        clicked = st.button(
            f"Delete “{words.plain(label)}”",  # for those who hear it; its text is not shown
            key=f"delete-{one.conversation_id}",
            icon=":material/delete:",
            type="tertiary",
        )
    if clicked:
        st.dialog("Delete this conversation?")(_confirm)(
            api, chat, one.conversation_id, title, current
        )


def _confirm(api: Api, chat: Any, conversation_id: str, title: str, current: bool) -> None:
    st.write(words.plain(title))
    st.caption("Its questions and answers are deleted for good.")
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:"):
            try:
                api.delete_conversation(conversation_id)
            except ApiError as error:
                notices.tell(error)
                return
            if current:
                st.switch_page(chat)
            st.rerun()
        if st.button("Keep it"):
            st.rerun()
