"""The picture beside the chat, and the view of it that the model is shown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from vesalius.service.http.answer_schemas import BoxOut, TurnOut
from vesalius.service.http.schemas import Uploaded, Window
from vesalius.service.web import notices, page_state, study, uploading, viewer, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState
from vesalius.service.web.rules import Policy, Version
from vesalius.service.web.stack import Stack
from vesalius.service.web.views import ticket_for

FRESH = 60.0
"""Seconds for which what is told of a picture is not asked for again."""
MISSING_CODES = {"image_expired", "image_missing", "not_found"}
TEXT = "writing"
MARKED = "marked"
"""In the session: the answer that was chosen to have its boxes drawn."""


@dataclass(frozen=True, slots=True)
class PictureView:
    """What the panel ended up showing; ``usable``: questions about it can be asked.

    ``marked``: the answer whose boxes are drawn over it. ``image_ids``: all pictures that a
    question shows, in order, of a study. ``warnings``: what is wrong with picture or study;
    ``text``: writing in it can be covered.
    """

    frame: int | None
    window: Window | None
    usable: bool
    marked: str | None = None
    image_ids: Sequence[str] = ()
    warnings: Sequence[str] = ()
    text: bool = False


def panel(api: Api, about: Version, state: PageState, turns: Sequence[TurnOut]) -> PictureView:
    """The exact picture the model sees, its facts and its controls; answers' boxes over it."""
    assert state.image is not None
    try:
        facts = _facts(api, state.image)
        whole = study.load(api, facts.study_id) if facts and facts.study_id else None
    except ApiError as error:
        if error.code in MISSING_CODES:
            _missing_notice(error)
        else:
            notices.tell(error)
        return PictureView(state.frame, state.window, usable=False)
    stack = Stack(state.image, facts, () if whole is None else study.beside(whole, state.image))
    frames = stack.frames is not None
    ids = [] if whole is None else study.panel(api, about, state, whole, frames=frames)
    frame, through = stack.frame(state.frame), stack.window(state.window)
    window = _pair(through)
    slices = stack.slices(frame)
    marking = _marking(turns, stack, slices)
    scene = stack.scene(
        ticket_for(api),
        frame=frame,
        window=window,
        # Where the viewer came to rest the page has followed.
        move=viewer.view() != (state.image, frame, window),
        marks=_marks(slices, marking, stack, window),
    )
    viewer.show(scene, _follow)
    with st.container(horizontal=True, vertical_alignment="center", key="picture-actions"):
        _say(facts)
        _actions(api, about.policy, state.image)
    warnings = [] if whole is None else study.warnings(whole, state.image)
    warnings += _warnings(facts)
    turn = marking.get((viewer.Slice(state.image, frame), window))
    marked = None if turn is None else turn.answer_id
    text = bool(facts and facts.text and about.policy.mask)
    return PictureView(frame, through, True, marked, ids, warnings, text)


def cover(api: Api, state: PageState) -> None:
    """A button that covers the writing in the picture, and goes on with what is left of it."""
    assert state.image is not None
    if not st.button("Cover it and go on", icon=":material/ink_highlighter:", key="cover"):
        return
    try:
        with st.spinner("Looking for writing, and covering it"):
            covered = api.cover(state.image)
    except ApiError as error:
        notices.tell(error)
        return
    st.session_state.pop("facts", None)
    study.forget()
    PageState(state.conversation, covered.image_id, state.frame, state.window).go()
    st.rerun()


Views = Mapping[tuple[viewer.Slice, viewer.Pair | None], TurnOut]


def _marks(
    slices: Sequence[viewer.Slice], marking: Views, stack: Stack, window: viewer.Pair | None
) -> list[viewer.Marks]:
    """Boxes of answers over their views; where writing stands, over every frame of its picture."""
    places = stack.facts.text if stack.facts else []
    text = [BoxOut(**one.model_dump(), label=TEXT) for one in places]
    boxes = {view: list(turn.boxes or ()) for view, turn in marking.items()}
    for one in slices if text else ():
        if one.image == stack.image:
            boxes.setdefault((one, window), []).extend(text)
    return [viewer.Marks(slices.index(of), through, some) for (of, through), some in boxes.items()]


def _follow() -> None:
    """Another view has come to rest in the viewer: it is the page's, and the next question's."""
    rested = viewer.view()
    if rested is not None:
        page_state.look_on()
        image, frame, pair = rested
        window = None if pair is None else Window(centre=pair[0], width=pair[1])
        PageState(PageState.read().conversation, image, frame, window).go()


def _pair(window: Window | None) -> viewer.Pair | None:
    return None if window is None else window.pair


def _marking(
    turns: Sequence[TurnOut], stack: Stack, slices: Sequence[viewer.Slice]
) -> dict[tuple[viewer.Slice, viewer.Pair | None], TurnOut]:
    """For each view the turn whose boxes belong over it: the one that was chosen, else the last."""
    chosen = st.session_state.get(MARKED)
    of_view: dict[tuple[viewer.Slice, viewer.Pair | None], TurnOut] = {}
    for one in turns:
        frame = stack.frame(one.frame) if one.image_id == stack.image else one.frame
        view = viewer.Slice(one.image_id or "", frame), _pair(one.window)
        held = of_view.get(view)
        if one.boxes and view[0] in slices and (held is None or held.answer_id != chosen):
            of_view[view] = one
    return of_view


def _say(facts: Uploaded | None) -> None:
    if facts is None:
        return
    parts = [
        " ".join(filter(None, (words.kind(facts.kind), facts.modality))),
        f"{facts.width} × {facts.height} pixels",
        f"{facts.frames} frames" if facts.frames > 1 else "",
        f"deleted in {words.left(facts.expires_at)}",
    ]
    st.caption(" · ".join(part for part in parts if part))


def _warnings(facts: Uploaded | None) -> list[str]:
    if facts is None:
        return []
    # Which frame is shown, the viewer says.
    several = facts.frames > 1
    return [one for one in facts.warnings if not (several and one.startswith("frame "))]


def _actions(api: Api, policy: Policy, image_id: str) -> None:
    with st.popover("Another picture", icon=":material/add_photo_alternate:", type="tertiary"):
        st.caption("It begins a new conversation. This one is kept.")
        uploading.upload(policy, key="another")
    if st.button("Delete picture", icon=":material/delete:", type="tertiary"):
        st.dialog("Delete this picture?")(_confirm)(api, image_id)


def _confirm(api: Api, image_id: str) -> None:
    st.write("The picture is deleted for good. What was asked and answered about it stays.")
    with st.container(horizontal=True):
        if st.button("Delete", type="primary", icon=":material/delete:", key="delete-picture"):
            try:
                api.delete_image(image_id)
            except ApiError as error:
                notices.tell(error)
                return
            st.session_state.pop("facts", None)
            st.rerun()
        if st.button("Keep it", key="keep-picture"):
            st.rerun()


def _missing_notice(error: ApiError) -> None:
    what = "has expired" if error.code == "image_expired" else "was deleted"
    with st.container(key="gone", border=True, horizontal_alignment="center"):
        st.markdown(f":material/hide_image: **This picture {what}.**")
        st.caption("What was said of it stays. Upload it again to ask more.")


def _facts(api: Api, image_id: str) -> Uploaded | None:
    """What is told of it, for a minute: an expired or deleted one must not live on in the page."""
    at, of, facts = st.session_state.get("facts") or (0.0, None, None)
    if of != image_id or time.monotonic() - at > FRESH:
        facts = api.about_image(image_id)
        st.session_state["facts"] = time.monotonic(), image_id, facts
    known: Uploaded | None = facts
    return known
