"""A study beside the talk: its series and pictures to go through, and what the model is shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from vesalius.service.http.study_schemas import StudyOut
from vesalius.service.web import notices, series
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.page_state import PageState
from vesalius.service.web.rules import Version

NOTES, HELD = "study-notes", "studies"
"""In the session: what happened to a study's files, and studies that were read."""


def keep(study: StudyOut, notes: Sequence[str] = ()) -> None:
    """Hold a study, and what is to be told of its files, for this visit."""
    st.session_state[HELD] = {study.study_id: study}
    if notes:
        st.session_state[NOTES] = {study.study_id: list(notes)}


def load(api: Api, study_id: str) -> StudyOut:
    """A study, read once a visit. ApiError."""
    if study_id not in st.session_state.setdefault(HELD, {}):
        keep(api.study(study_id))
    held: StudyOut = st.session_state[HELD][study_id]
    return held


def forget() -> None:
    """Its pictures are others now."""
    st.session_state.pop(HELD, None)


def beside(study: StudyOut, image_id: str) -> list[str]:
    """The pictures to go through with this one, in order, itself among them."""
    here = series.series_with(study, image_id)
    return [image_id] if here is None else here.image_ids


def panel(
    api: Api, about: Version, state: PageState, study: StudyOut, *, frames: bool
) -> list[str]:
    """Choose series and what a question shows; those pictures, the current one last.

    ``frames``: the viewer goes through the picture's own, and another one is chosen here.
    """
    assert state.image is not None
    with st.container(key="study", horizontal=True, vertical_alignment="center"):
        if len(study.series) > 1:
            _series(api, study, state)
        if frames:
            _pictures(study, state)
        return _choose(about, study, state.image)


def warnings(study: StudyOut, image_id: str) -> list[str]:
    """What does not fit in it, and what of its files was left out."""
    here = series.series_with(study, image_id)
    notes = st.session_state.get(NOTES, {}).get(study.study_id, ())
    return [*study.warnings, *(here.warnings if here else ()), *notes]


def _series(api: Api, study: StudyOut, state: PageState) -> None:
    names = [f"{n}. {series.label(one)}" for n, one in enumerate(study.series, 1)]
    here = series.series_with(study, state.image or "")
    if here is None:  # its picture was deleted meanwhile
        return
    key = f"series-{study.study_id}"
    st.session_state[key] = names[study.series.index(here)]

    def change() -> None:
        other = study.series[names.index(st.session_state[key])]
        image_id = series.counterpart(state.image or "", here, other)
        PageState(state.conversation, image_id, window=state.window).go()

    st.selectbox("Series", names, key=key, on_change=change, label_visibility="collapsed")
    if here.role != "current" and st.button("This is the current one", key="make-current"):
        try:
            keep(api.set_study(study.image_ids, study_id=study.study_id, current=state.image))
        except ApiError as error:
            notices.tell(error)
        else:
            st.rerun()


def _pictures(study: StudyOut, state: PageState) -> None:
    here = beside(study, state.image or "")
    if len(here) < 2:
        return
    names = [f"Picture {n} of {len(here)}" for n in range(1, len(here) + 1)]
    key = f"picture-{study.study_id}"
    st.session_state[key] = names[here.index(state.image or "")]

    def change() -> None:
        image_id = here[names.index(st.session_state[key])]
        PageState(state.conversation, image_id, window=state.window).go()

    st.selectbox("Picture", names, key=key, on_change=change, label_visibility="collapsed")


def _choose(about: Version, study: StudyOut, image_id: str) -> list[str]:
    choices = series.choices(study, image_id, about.most_pictures)
    if len(choices) == 1:
        if len(study.image_ids) > 1 and about.most_pictures == 1:
            st.caption("This model is shown one picture at a time.")
        return [image_id]
    names = list(choices)
    prior = next((name for name in names if name.startswith("With the prior")), series.ALONE)
    chosen = st.selectbox(
        "Shown to the model",
        names,
        names.index(prior),
        key=f"beside-{study.study_id}",
        label_visibility="collapsed",
        format_func=lambda name: f"To the model: {name[:1].lower()}{name[1:]}",
    )
    return choices[chosen]
