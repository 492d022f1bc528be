"""Asking: the answer as it comes, and the question that waits where it was not taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from time import monotonic

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vesalius.service.http.answer_schemas import AnswerOut, TurnOut
from vesalius.service.http.schemas import AskRequest, CaptionRequest
from vesalius.service.web import answer, notices, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState
from vesalius.service.web.rules import Policy
from vesalius.service.web.stream import AnswerIds, Answering
from vesalius.service.web.style import MARK

DESCRIBE = "Describe this picture"
WAITING, EDITING = "waiting", "editing"
"""In the session: a question that was not taken, with its error; whose question is edited."""
Request = AskRequest | CaptionRequest


def live_here(state: PageState) -> Answering | None:
    """The answer that this session has not heard to its end, for what is shown here."""
    live = st.session_state.get("answering")
    if not isinstance(live, Answering) or live.stopped:
        return None
    if live.ids is not None and state.conversation is not None:
        return live if live.ids.conversation_id == state.conversation else None
    return live if _is_of(live, state) else None


def _is_of(live: Answering, state: PageState) -> bool:
    """Whether it was asked here: in this conversation, or to begin one about this picture."""
    same = live.conversation_id == state.conversation
    return same and (state.conversation is not None or live.image_id == state.image)


def ask(api: Api, request: Request) -> None:
    """Ask, and write the answer as it comes."""
    st.session_state.pop(EDITING, None)
    st.session_state.pop(WAITING, None)
    live = api.caption(request) if isinstance(request, CaptionRequest) else api.ask(request)
    st.session_state["answering"] = live
    follow(live)


def request_of(turn: TurnOut, question: str) -> AskRequest:
    """A turn's question again, of the same view and pictures, in its place."""
    return AskRequest(
        question=question,
        image_id=turn.image_id,
        image_ids=(turn.image_ids[1:] and turn.image_ids) or None,
        frame=turn.frame,
        window=turn.window,
        conversation_id=turn.conversation_id,
        replaces=turn.answer_id,
    )


def editor(text: str, *, key: str, policy: Policy) -> str | None:
    """A question to be changed; what it is once it is asked. Cancelling leaves it as it was."""
    with st.form(f"editor-{key}", border=False):
        changed = st.text_area("Your question", text, max_chars=policy.max_question, height=90)
        st.caption("What follows it goes from the talk, and stays in exports.")
        with st.container(horizontal=True):
            asked = st.form_submit_button("Ask", type="primary", icon=":material/send:")
            cancelled = st.form_submit_button("Cancel")
    if cancelled:
        st.session_state.pop(EDITING, None)
        st.rerun()
    return changed.strip() or None if asked else None


def waiting() -> str | None:
    """The words of a question that was not taken."""
    live, _ = st.session_state.get(WAITING) or (None, None)
    return None if live is None else live.question or DESCRIBE


def stuck(state: PageState, policy: Policy) -> bool:
    """The question that was not taken: why, and when it is tried again; False: there is none."""
    live, error = st.session_state.get(WAITING) or (None, None)
    if live is None or error is None or not _is_of(live, state):
        return False
    with st.chat_message("user", avatar=answer.PERSON):
        st.markdown(words.plain(live.question or DESCRIBE))
    with st.chat_message("assistant", avatar=MARK):
        notices.tell(error)
        text = live.question
        again, changed = notices.retry(error, WAITING), None
        with st.container(horizontal=True):
            if text and st.button("Edit", icon=":material/edit:", key="edit-waiting"):
                st.session_state[EDITING] = WAITING
            if st.button("Discard", icon=":material/close:", key="discard"):
                st.session_state.pop(WAITING)
                st.rerun()
        if st.session_state.get(EDITING) == WAITING and text:
            changed = editor(text, key=WAITING, policy=policy)
            again = changed is not None  # meanwhile nothing is asked by itself
    if again:
        for name in (WAITING, EDITING):
            st.session_state.pop(name, None)
        st.session_state["answering"] = live.again(changed)
        st.rerun()
    return True


def follow(live: Answering) -> None:
    """An answer as it comes, from its beginning; then what the service has kept of it is shown.

    Any click runs the page anew, and so this; only Stop stops the answer.
    """
    with st.chat_message("user", avatar=answer.PERSON):
        st.markdown(words.plain(live.question or DESCRIBE))
    with st.chat_message("assistant", avatar=MARK):
        status = st.empty()
        text = st.container()
        st.button(
            "Stop",
            icon=":material/stop_circle:",
            key="stop",
            help="Stop this answer",
            on_click=_stop,
            args=(live,),
        )
        try:
            with text:
                st.write_stream(_pieces(live, status))
        except ApiError as error:
            if live.ids is None:  # it was not taken, so nothing of it is stored
                st.session_state[WAITING] = live, error
            else:
                notices.later(error)
        else:
            notices.forget(WAITING)
    st.session_state.pop("answering", None)
    st.rerun()


def _stop(live: Answering) -> None:
    live.close()
    st.toast("Stopped", icon=":material/stop_circle:")


def _pieces(live: Answering, status: DeltaGenerator) -> Iterator[str]:
    """The words of an answer; while none come, the seconds are counted."""
    waiting = True
    for event in live.events():
        match event:
            case None:
                # Writing anything is also what lets the page notice that Stop was pressed.
                since = f"Looking at the picture, {monotonic() - live.since:.0f} s"
                status.caption(f":material/hourglass_top: {since}" if waiting else "")
            case AnswerIds():
                # The view stays: a hand may have moved on meanwhile.
                replace(PageState.read(), conversation=event.conversation_id).go()
            case str():
                if waiting:
                    status.empty()
                    waiting = False
                yield words.plain(event)
            case AnswerOut():
                return


def pending(api: Api, turn: TurnOut, state: PageState) -> None:
    """A question that is being answered for another window, or was before a reload."""
    answer.question(turn)
    with st.chat_message("assistant", avatar=MARK):
        st.caption(":material/hourglass_top: This answer is being written.")

        st.fragment(_watch, run_every=1.0)(api, state.conversation)


def _watch(api: Api, conversation_id: str) -> None:
    try:
        conversation = api.conversation(conversation_id)
    except ApiError as error:
        notices.tell(error)
        return
    if not conversation.messages or conversation.messages[-1].state != "pending":
        st.rerun()
