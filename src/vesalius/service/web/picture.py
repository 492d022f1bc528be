"""The picture beside the chat: uploading it, and the view of it that the model is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from vesalius.service.http.answer_schemas import TurnOut
from vesalius.service.http.schemas import Uploaded, Window
from vesalius.service.web import notices, viewer, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api, Policy
from vesalius.service.web.page_state import PageState

FRESH = 60.0
"""Seconds for which a shown picture is not asked for again."""
MISSING_CODES = {"image_expired", "image_missing", "not_found"}
OWN, CUSTOM = "File's own", "Custom"
MARKED = "marked"
"""In the session: the answer that was chosen to have its boxes drawn."""


@dataclass(frozen=True, slots=True)
class PictureView:
    """What the panel ended up showing; ``usable``: questions about it can be asked.

    ``marked``: the answer whose boxes are drawn over it.
    """

    frame: int | None
    window: Window | None
    usable: bool
    marked: str | None = None


def upload(api: Api, policy: Policy, *, key: str) -> None:
    """A place to drop a file; once it is taken in, the page goes on to it."""
    mask = policy.mask and st.toggle(
        "Cover text in the picture",
        key="mask",
        help="Set this first. Names and dates that are burned into the picture are looked for and "
        "blackened before it is kept. Look at the result: not all writing is found.",
    )
    turn = int(st.session_state.get("uploads", 0))
    given = st.file_uploader(
        "Upload a picture",
        key=f"upload-{key}-{turn}",
        help="PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM, found by content. The name is not sent.",
        max_upload_size=max(1, policy.max_body // 2**20),
    )
    if given is not None:
        # A new widget next time: this one lets go of the file, and of its name.
        st.session_state["uploads"] = turn + 1
        take(api, given.getvalue(), mask=mask)


def take(api: Api, data: bytes, *, mask: bool = False) -> None:
    """Upload bytes and begin with them; what is refused is told on the page where one was."""
    try:
        with st.spinner("Uploading and checking the picture"):
            taken = api.upload(data, mask=mask)
    except ApiError as error:
        notices.later(error)
    else:
        st.session_state["facts"] = {taken.image_id: taken}
        PageState(image=taken.image_id).go()
    st.rerun()


def panel(api: Api, policy: Policy, state: PageState, turns: Sequence[TurnOut]) -> PictureView:
    """The exact picture the model sees, its facts and its controls; an answer's boxes over it."""
    assert state.image is not None
    try:
        facts = _facts(api, state.image)
        frame, window = _controls(facts, state)
        png = _png(api, state.image, frame, window)
    except ApiError as error:
        if error.code in MISSING_CODES:
            _missing_notice(error)
        else:
            notices.tell(error)
        return PictureView(state.frame, state.window, usable=False)
    slot = st.session_state["picture-slot"]
    with slot:
        alt = "The uploaded picture as the model sees it"
        turn = _marking(turns, state.image, frame, window)
        boxes = () if turn is None else turn.boxes or ()
        viewer.show(png, image_id=state.image, alt=alt, boxes=boxes)
    _say(facts)
    _actions(api, policy, state.image)
    return PictureView(frame, window, usable=True, marked=None if turn is None else turn.answer_id)


def _marking(
    turns: Sequence[TurnOut], image_id: str, frame: int | None, window: Window | None
) -> TurnOut | None:
    """The turn whose boxes belong over this view: the one that was chosen, else the last."""
    view = (image_id, frame, window)
    marking = [one for one in turns if one.boxes and (one.image_id, one.frame, one.window) == view]
    chosen = st.session_state.get(MARKED)
    last = marking[-1] if marking else None
    return next((one for one in marking if one.answer_id == chosen), last)


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
    for warning in facts.warnings:
        if not (facts.frames > 1 and warning.startswith("frame ")):  # the slider says so
            st.warning(words.plain(warning[:1].upper() + warning[1:]), icon=":material/info:")


def _controls(facts: Uploaded | None, state: PageState) -> tuple[int | None, Window | None]:
    """Frame and window controls where the picture has any; their values go into the URL."""
    st.session_state["picture-slot"] = st.container(key="picture-slot")
    if facts is None:
        return state.frame, state.window
    several = facts.frames > 1 and facts.kind in {"dicom", "tiff"}
    frame = _frame(facts, state) if several else None
    window = _window(facts, state) if facts.kind == "dicom" else None
    if (frame, window) != (state.frame, state.window):
        PageState(state.conversation, state.image, frame, window).go()
    return frame, window


def _frame(facts: Uploaded, state: PageState) -> int:
    first = facts.frames // 2 if facts.kind == "dicom" else 0
    value = state.frame if state.frame is not None and state.frame < facts.frames else first
    label = f"Frame, of {facts.frames} counted from 0"
    return int(st.slider(label, 0, facts.frames - 1, value, key=f"frame-{facts.image_id}"))


def _window(facts: Uploaded, state: PageState) -> Window | None:
    """Window and level: the file's own, a preset (CT), or by hand."""
    presets = list(words.PRESETS) if facts.modality == "CT" else []
    named = next((name for name in presets if words.PRESETS[name] == state.window), CUSTOM)
    chosen = st.pills(
        "Window",
        [OWN, *presets, CUSTOM],
        default=OWN if state.window is None else named,
        required=True,
        key=f"window-{facts.image_id}",
        help="Which values are shown between black and white. The model sees the same.",
    )
    if chosen in words.PRESETS:
        return words.PRESETS[chosen]
    if chosen != CUSTOM:
        return None
    before = state.window or words.PRESETS["Soft tissue"]
    centre, width = st.columns(2)
    unit = " (HU)" if facts.modality == "CT" else ""
    with centre:
        level = st.number_input(
            f"Centre{unit}", -1e9, 1e9, before.centre, step=10.0, format="%.0f", key="centre"
        )
    with width:
        span = st.number_input(
            f"Width{unit}", 1.0, 1e9, before.width, step=10.0, format="%.0f", key="width"
        )
    return Window(centre=level, width=span)


def _actions(api: Api, policy: Policy, image_id: str) -> None:
    with st.container(horizontal=True, key="picture-actions"):
        with st.popover("Another picture", icon=":material/add_photo_alternate:", type="tertiary"):
            st.caption("It begins a new conversation. This one is kept.")
            upload(api, policy, key="another")
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
            for held in ("pictures", "facts"):
                st.session_state.pop(held, None)
            st.rerun()
        if st.button("Keep it", key="keep-picture"):
            st.rerun()


def _missing_notice(error: ApiError) -> None:
    what = "has expired" if error.code == "image_expired" else "was deleted"
    with st.container(key="gone", border=True, horizontal_alignment="center"):
        st.markdown(f":material/hide_image: **This picture {what}.**")
        st.caption("What was said of it stays. Upload it again to ask more.")


def _facts(api: Api, image_id: str) -> Uploaded | None:
    held = st.session_state.setdefault("facts", {})
    if image_id not in held:
        st.session_state["facts"] = held = {image_id: api.about_image(image_id)}
    facts: Uploaded | None = held[image_id]
    return facts


def _png(api: Api, image_id: str, frame: int | None, window: Window | None) -> bytes:
    """The picture, kept for a minute: an expired or deleted one must not live on in the page."""
    held = st.session_state.setdefault("pictures", {})
    now, key = time.monotonic(), (image_id, frame, str(window))
    for old in [k for k, (at, _) in held.items() if now - at > FRESH or k[0] != image_id]:
        del held[old]
    if key not in held:
        held[key] = now, api.image(image_id, frame=frame, window=window)
    png: bytes = held[key][1]
    return png
