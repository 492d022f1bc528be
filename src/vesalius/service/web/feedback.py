"""Thumbs with a reason."""

from __future__ import annotations

from typing import Any, cast

import streamlit as st

from vesalius.service.http.answer_schemas import TurnOut
from vesalius.service.http.schemas import FeedbackRequest
from vesalius.service.web import arrival, notices
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api

VERDICTS = ("down", "up")
"""As ``st.feedback`` counts thumbs: 0 is down."""
DOWN = ("wrong", "incomplete", "irrelevant", "unclear", "unsafe", "other")
UP = ("helpful", "other")


def show(api: Api, turn: TurnOut) -> None:
    """Ask what the reader thinks; a later word replaces an earlier one."""
    st.fragment(_show)(api, turn)


def _show(api: Api, turn: TurnOut) -> None:
    held = dict(turn.feedback or {})
    held |= st.session_state.get(f"said-{turn.answer_id}", {})
    before = held.get("verdict")
    default = VERDICTS.index(before) if before in VERDICTS else None
    with st.container(horizontal=True, vertical_alignment="center", key=f"fb-{turn.answer_id}"):
        thumb = st.feedback("thumbs", key=f"thumb-{turn.answer_id}", default=default)
        if before:
            st.caption("Thank you, noted.")
    if thumb is None:
        return
    verdict = VERDICTS[thumb]
    if verdict != before:
        _send(api, turn, {"verdict": verdict})
        st.session_state["revealed"] = turn.answer_id
        st.rerun(scope="fragment")
    key = f"why-{turn.answer_id}"
    with st.container(key=key):
        _why(api, turn, held)
    if st.session_state.get("revealed") == turn.answer_id:
        del st.session_state["revealed"]
        arrival.reveal(key)


def _why(api: Api, turn: TurnOut, held: dict[str, Any]) -> None:
    reasons = DOWN if held["verdict"] == "down" else UP
    before = held.get("reason")
    named = before if before in reasons else None
    key = f"{held['verdict']}-{turn.answer_id}"
    reason = st.pills("Why?", reasons, default=named, key=f"why-{key}", format_func=str.capitalize)
    comment = st.text_input(
        "In your words",
        held.get("comment") or "",
        max_chars=2000,
        key=f"comment-{key}",
        placeholder="No names or other patient data, please",
    )
    if (reason, comment) != (named, held.get("comment") or ""):
        _send(api, turn, {"verdict": held["verdict"], "reason": reason, "comment": comment or None})
        st.rerun(scope="fragment")


def _send(api: Api, turn: TurnOut, feedback: dict[str, Any]) -> None:
    try:
        api.feedback(FeedbackRequest(answer_id=turn.answer_id, **cast("Any", feedback)))
    except ApiError as error:
        notices.tell(error)
        st.stop()
    st.session_state[f"said-{turn.answer_id}"] = feedback
