"""A study beside the talk: its series and pictures to go through, and what the model is shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from vesalius.service.http.study_schemas import StudyOut
from vesalius.service.web import notices, series, words
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api, Version
from vesalius.service.web.page_state import PageState

NOTES, HELD = "study-notes", "studies"
"""In the session: what happened to a study's files, and studies that were read."""


def keep(study: StudyOut, notes: Sequence[str] = ()) -> None:
    """Hold a study, and what is to be told of its files, for this visit."""
    st.session_state[HELD] = {study.study_id: study}
    if notes:
        st.session_state[NOTES] = {study.study_id: list(notes)}


def panel(api: Api, about: Version, state: PageState, study_id: str) -> list[str]:
    """Go through a study; all pictures that a question shows, the current one last. ApiError."""
    assert state.image is not None
    held = st.session_state.setdefault(HELD, {})
    if study_id not in held:
        keep(api.study(study_id))
    study: StudyOut = st.session_state[HELD][study_id]
    here = series.series_with(study, state.image)
    if here is None:
        return [state.image]
    with st.container(key="study"):
        if len(study.series) > 1:
            _series(api, study, state)
        if len(here.image_ids) > 1:
            _slices(here.image_ids, state)
        _tell([*study.warnings, *here.warnings], st.session_state.get(NOTES, {}).get(study_id, ()))
        return _beside(about, study, state.image)


def _series(api: Api, study: StudyOut, state: PageState) -> None:
    assert state.image is not None
    names = [f"{n}. {series.label(one)}" for n, one in enumerate(study.series, 1)]
    here = series.series_with(study, state.image)
    assert here is not None
    key = f"series-{study.study_id}"
    st.session_state[key] = names[study.series.index(here)]

    def change() -> None:
        other = study.series[names.index(st.session_state[key])]
        _go(state, series.counterpart(state.image or "", here, other))

    st.selectbox("Series", names, key=key, on_change=change)
    if here.role != "current" and st.button("This is the current examination", type="tertiary"):
        try:
            keep(api.set_study(study.image_ids, study_id=study.study_id, current=state.image))
        except ApiError as error:
            notices.tell(error)
        else:
            st.rerun()


def _slices(image_ids: Sequence[str], state: PageState) -> None:
    assert state.image is not None
    key = f"slice-{image_ids[0]}"
    st.session_state[key] = 1 + image_ids.index(state.image)

    def change() -> None:
        _go(state, image_ids[st.session_state[key] - 1])

    count = len(image_ids)
    st.slider(f"Picture, of {count} in this series", 1, count, key=key, on_change=change)


def _go(state: PageState, image_id: str) -> None:
    PageState(state.conversation, image_id, window=state.window).go()


def _tell(warnings: Sequence[str], notes: Sequence[str]) -> None:
    lines = [words.plain(text[:1].upper() + text[1:]) for text in (*warnings, *notes)]
    if lines:
        st.warning("  \n".join(lines), icon=":material/info:")


def _beside(about: Version, study: StudyOut, image_id: str) -> list[str]:
    choices = series.choices(study, image_id, about.most_pictures)
    if len(choices) == 1:
        if len(study.image_ids) > 1 and about.most_pictures == 1:
            st.caption("This model is shown one picture at a time: the one above.")
        return [image_id]
    names = list(choices)
    prior = next((name for name in names if name.startswith("With the prior")), series.ALONE)
    chosen = st.selectbox(
        "Shown to the model",
        names,
        names.index(prior),
        key=f"beside-{study.study_id}",
        help="Which pictures a question is about. The one above is among them.",
    )
    return choices[chosen]
