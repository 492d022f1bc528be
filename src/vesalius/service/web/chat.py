"""The chat: a picture on one side, questions and answers on the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from time import monotonic
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from vesalius.service.http.answer_schemas import AnswerOut, ConversationWhole, TurnOut
from vesalius.service.http.schemas import AskRequest, CaptionRequest
from vesalius.service.web import answer, arrival, identity, notices, picture, uploading, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api, Version
from vesalius.service.web.examples import EXAMPLES, QUESTIONS, thumbnail
from vesalius.service.web.page_state import PageState
from vesalius.service.web.picture import PictureView
from vesalius.service.web.stream import AnswerIds, Answering
from vesalius.service.web.style import MARK

DESCRIBE = "Describe this picture"


def page() -> None:
    """The conversation that the URL names, or a new one."""
    api = identity.api()
    try:
        about = identity.version(api)
        state = PageState.read()
        state.go()
        whole = api.conversation(state.conversation) if state.conversation else None
    except ApiError as error:
        _cannot(error)
        return
    if uploading.proceed(api):
        return
    if whole is not None and whole.messages and state.image is None:
        last = whole.messages[-1]
        state = PageState(state.conversation, last.image_id, last.frame, last.window)
    if state.image is None and not (whole and whole.messages):
        _welcome(about)
        return
    _talk(api, about, state, whole)


def _welcome(about: Version) -> None:
    with st.container(key="welcome"):
        st.title("Ask about a medical picture")
        st.write("Upload one, or try a drawn example. No patient was ever in those.")
        notices.show_pending()
        uploading.upload(about.policy, key="first")
        st.caption(
            f"At most {words.size(about.policy.max_body)} a picture. "
            f"Only pixels are kept, for {about.policy.image_hours:g} hours. "
            "Nothing that names a patient, please: not in the picture, not in a question."
        )
        st.subheader("Examples")
        with st.container(horizontal=True, key="examples"):
            for example in EXAMPLES:
                with st.container(width=124, gap="xsmall"):
                    alt = f"{example.name}, {example.about}"
                    st.image(thumbnail(example), alt=alt, width="stretch")
                    if st.button(example.name, help=example.about, width="stretch"):
                        uploading.begin(about.policy, [BytesIO(example.draw())])


def _talk(api: Api, about: Version, state: PageState, whole: ConversationWhole | None) -> None:
    # What was asked again is on record, in exports too; here the newer words stand in its place.
    turns = [turn for turn in (whole.messages if whole else []) if turn.replaced_by is None]
    live = _live(state)
    busy = live is not None or (bool(turns) and turns[-1].state == "pending")
    side, main = st.columns([5, 7], gap="large")
    with side, st.container(key="picture"):
        view = (
            picture.panel(api, about, state, turns)
            if state.image
            else PictureView(None, None, usable=False)
        )
    question = st.chat_input(
        "Ask about this picture" if view.usable else "Upload a picture to ask more",
        max_chars=about.policy.max_question,
        disabled=busy or not view.usable,
        submit_mode="disable",
        key="question",
    )
    with main, st.container(key="talk"):
        going = live is not None or question is not None
        last = turns[-1].answer_id if turns else state.image
        moves = bool(turns) or going
        arrival.end(f"{last} {going}", picture=state.image, move=moves, going=going)
        if whole is not None:
            _head(api, whole)
        notices.warn(view.warnings)
        notices.show_pending()
        threshold = about.policy.abstain_below
        now = None if live is None or live.ids is None else live.ids.answer_id
        for turn in turns:
            if turn.state != "pending" and turn.answer_id != now:
                latest = turn is turns[-1] and not question
                answer.show(api, turn, threshold=threshold, latest=latest, marked=view.marked)
        if live is not None:
            _follow(live)
        elif busy:
            _pending(api, turns[-1], state)
        elif view.usable:
            question = question or (None if turns else _suggest(api))
            if question:
                _ask(api, question, state, view)


def _head(api: Api, whole: ConversationWhole) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        st.markdown(f"# {words.plain(whole.title or 'Conversation')}")
        with st.popover("Export", icon=":material/download:", type="tertiary"):
            for form, mime in (("html", "text/html"), ("json", "application/json")):
                st.download_button(
                    f"As {form.upper()}",
                    lambda form=form: api.export(whole.conversation_id, form),
                    file_name=f"conversation.{form}",
                    mime=mime,
                    on_click="ignore",
                    icon=":material/download:",
                    width="stretch",
                )


def _suggest(api: Api) -> str | None:
    """First questions: those of the run, else some that fit any picture; the one clicked."""
    slot = st.empty()
    if "suggestions" not in st.session_state:
        try:
            st.session_state["suggestions"] = api.suggestions()
        except ApiError:
            st.session_state["suggestions"] = []  # those of any picture do as well
    first: tuple[str, ...] = tuple(st.session_state["suggestions"]) or QUESTIONS
    with slot.container(key="suggest"):
        st.markdown("# What would you like to know?")
        with st.container(horizontal=True):
            chosen = [text for text in (*first, DESCRIBE) if st.button(text, key=f"ask-{text}")]
    if not chosen:
        return None
    slot.empty()
    return chosen[0]


def _live(state: PageState) -> Answering | None:
    """The answer that this session is hearing for what is shown here."""
    live = st.session_state.get("answering")
    if not isinstance(live, Answering) or live.ended:
        return None
    if live.ids is None:
        return live if live.image_id == state.image else None
    if state.conversation is None and live.image_id == state.image:
        return live
    return live if live.ids.conversation_id == state.conversation else None


def _ask(api: Api, question: str, state: PageState, view: PictureView) -> None:
    """Ask, and write the answer as it comes."""
    assert state.image is not None
    request: dict[str, Any] = {"image_id": state.image, "frame": view.frame, "window": view.window}
    request |= {"conversation_id": state.conversation, "image_ids": list(view.image_ids) or None}
    live = (
        api.caption(CaptionRequest(**request))
        if question == DESCRIBE
        else api.ask(AskRequest(question=question, **request))
    )
    st.session_state["answering"] = live
    _follow(live)


def _follow(live: Answering) -> None:
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
            notices.later(error)
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


def _pending(api: Api, turn: TurnOut, state: PageState) -> None:
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


def _cannot(error: ApiError) -> None:
    with st.container(key="welcome"):
        if error.code == "not_found":
            st.title("Nothing is kept here")
        elif error.code in {"unreachable", "not_ready"}:
            st.title("The service is not there yet")
        else:
            st.title("This does not work now")
        notices.tell(error)
        if st.button("Try again", icon=":material/refresh:", type="primary"):
            st.rerun()
