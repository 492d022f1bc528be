"""The chat: a picture on one side, questions and answers on the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, cast

import streamlit as st

from vesalius.service.http.answer_schemas import ConversationWhole, TurnOut
from vesalius.service.http.schemas import AskRequest, CaptionRequest
from vesalius.service.web import (
    answer,
    arrival,
    asking,
    copying,
    identity,
    notices,
    picture,
    reporting,
    uploading,
    words,
)
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.asking import DESCRIBE
from vesalius.service.web.client import Api
from vesalius.service.web.examples import EXAMPLES, QUESTIONS, thumbnail
from vesalius.service.web.page_state import PageState, is_look
from vesalius.service.web.picture import PictureView
from vesalius.service.web.rules import Policy, Version

LAST = "page"
"""In the session: the conversation on the page with what was last read for it."""
MORE = 3
"""Questions that are suggested below an answer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was last read of the API for the page of a conversation."""

    of: str | None
    about: Version
    whole: ConversationWhole | None


def page() -> None:
    """The conversation that the URL names, or a new one."""
    api, state = identity.api(), PageState.read()
    state.go()
    reading = _read(api, state)
    if reading is None or uploading.proceed(api):
        return
    whole = reading.whole
    if whole is not None and whole.messages and state.image is None:
        last = whole.messages[-1]
        state = PageState(state.conversation, last.image_id, last.frame, last.window)
    if state.image is None and not (whole and whole.messages):
        _welcome(reading.about)
        return
    _talk(api, reading.about, state, whole)


def _read(api: Api, state: PageState) -> Reading | None:
    """The conversation as it is, or while nothing answers as it was; None once that is told."""
    last = cast("Reading | None", st.session_state.get(LAST))
    known = last is not None and last.of == state.conversation
    if known and is_look() and not notices.fails(LAST):
        return last
    try:
        about = identity.version(api)
        whole = api.conversation(state.conversation) if state.conversation else None
    except ApiError as error:
        # Who may no longer see it sees it no more.
        if error.status in {401, 403, 404} or not known:
            _cannot(error)
            return None
        _tell(error)
        return last
    notices.forget(LAST)
    reading = Reading(state.conversation, about, whole)
    st.session_state[LAST] = reading
    return reading


def _welcome(about: Version) -> None:
    with st.container(key="welcome"):
        st.title("Ask about a medical picture")
        st.write("Upload one, or try a drawn example. No patient was ever in those.")
        notices.show_pending()
        uploading.upload(about.policy, key="first")
        st.caption(
            f"At most {words.size(about.policy.max_body)} a picture. "
            f"Pixels are kept for {about.policy.image_hours:g} hours, and no name of a header. "
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
    live = asking.live_here(state)
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
            _head(api, about, whole)
        notices.warn(view.warnings)
        if view.text:
            picture.cover(api, state)
        notices.show_pending()
        now = None if live is None or live.ids is None else live.ids.answer_id
        finished = [one for one in turns if one.state != "pending" and one.answer_id != now]
        for turn in finished:
            latest = turn is turns[-1] and not question
            threshold = about.policy.abstain_below
            answer.show(api, turn, threshold=threshold, latest=latest, marked=view.marked)
            if view.usable and not busy:
                _again(api, turn, about.policy)
        if live is not None:
            asking.follow(live)
        elif busy:
            asking.pending(api, turns[-1], state)
        elif view.usable and (question or not asking.stuck(state, about.policy)):
            question = question or _suggest(api, [turn.question for turn in turns])
            if question:
                asking.ask(api, _request(question, state, view))


def _request(question: str, state: PageState, view: PictureView) -> asking.Request:
    assert state.image is not None
    request: dict[str, Any] = {"image_id": state.image, "frame": view.frame, "window": view.window}
    request |= {"conversation_id": state.conversation, "image_ids": list(view.image_ids) or None}
    if question == DESCRIBE:
        return CaptionRequest(**request)
    return AskRequest(question=question, **request)


def _again(api: Api, turn: TurnOut, policy: Policy) -> None:
    """Copy an answer; ask its question again, as it was or in other words."""
    key = turn.answer_id
    editing = st.session_state.get("editing") == key
    with st.container(key=f"tools-{key}", horizontal=True, gap="xsmall"):
        if turn.answer:
            copying.button(words.copy(turn), key=key)
        if st.button("Edit", key=f"edit-{key}", icon=":material/edit:", type="tertiary"):
            st.session_state["editing"] = key
            st.rerun()
        wanted = st.button(
            "Ask again", key=f"repeat-{key}", icon=":material/refresh:", type="tertiary"
        )
    question = asking.editor(turn.question, key=key, policy=policy) if editing else None
    if wanted or question:
        asking.ask(api, asking.request_of(turn, question or turn.question))


def _head(api: Api, about: Version, whole: ConversationWhole) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="head"):
        st.markdown(f"# {words.plain(whole.title or 'Conversation')}")
        with st.popover("Export", icon=":material/download:", type="tertiary"):
            answers = [turn for turn in whole.messages if turn.state == "done"]
            for label, name, mime, data in _exports(api, whole.conversation_id, answers):
                st.download_button(
                    label,
                    data,
                    file_name=name,
                    mime=mime,
                    on_click="ignore",
                    icon=":material/download:",
                    width="stretch",
                )
            if answers and whole.modality is not None:
                reporting.show(api, about.policy, answers[-1])


def _exports(
    api: Api, conversation_id: str, answers: Sequence[TurnOut]
) -> Iterator[tuple[str, str, str, Callable[[], bytes]]]:
    """Files to download: label, name, media type, and what makes it when it is asked for."""
    export = partial(api.export, conversation_id)
    yield "As HTML", "conversation.html", "text/html", partial(export, "html")
    yield "As JSON", "conversation.json", "application/json", partial(export, "json")
    if answers and answers[-1].image_state == "kept":  # the report goes with the picture
        resources = partial(api.fhir, answers[-1].answer_id)
        yield "Last answer as FHIR", "report.fhir.json", "application/fhir+json", resources


def _suggest(api: Api, asked: Sequence[str]) -> str | None:
    """Questions of the run that were not asked here, or some of any picture; the one clicked."""
    slot = st.empty()
    if "suggestions" not in st.session_state:
        try:
            st.session_state["suggestions"] = api.suggestions()
        except ApiError:
            st.session_state["suggestions"] = []  # those of any picture do as well
    run: list[str] = st.session_state["suggestions"]
    own = [text for text in run if text not in asked]
    offers = own[:MORE] if asked else [*(own or QUESTIONS), DESCRIBE]
    if not offers:
        return None
    with slot.container(key="suggest"):
        if not asked:
            st.markdown("# What would you like to know?")
        with st.container(horizontal=True):
            chosen = [text for text in offers if st.button(words.plain(text), key=f"ask-{text}")]
    if not chosen:
        return None
    slot.empty()
    return chosen[0]


def _cannot(error: ApiError) -> None:
    with st.container(key="welcome"):
        if error.code == "not_found":
            st.title("Nothing is kept here")
        elif error.code in {"unreachable", "not_ready"}:
            st.title("The service is not there yet")
        else:
            st.title("This does not work now")
        _tell(error)
        if text := asking.waiting():
            st.caption("Your question is kept until then:")
            st.markdown(f"> {words.plain(text)}")


def _tell(error: ApiError) -> None:
    """Why the page cannot be read now, and when it is tried again."""
    notices.tell(error)
    if notices.retry(error, LAST):
        st.rerun()
