"""An answer as a DICOM report, for which the picture's file is needed again, for a moment."""

from __future__ import annotations

from math import ceil

import streamlit as st

from vesalius.service.http.answer_schemas import TurnOut
from vesalius.service.web import notices
from vesalius.service.web.api_errors import ApiError
from vesalius.service.web.client import Api
from vesalius.service.web.rules import Policy

REPORT, TURN = "report", "reports"
"""In the session: an answer's id with its report or why there is none; files that were sent."""


def show(api: Api, policy: Policy, turn: TurnOut) -> None:
    """A place for the file of an answer's picture; then the report, to be downloaded."""
    count = int(st.session_state.get(TURN, 0))
    given = st.file_uploader(
        "As a DICOM report (SR)",
        key=f"report-{turn.answer_id}-{count}",
        help="Of the last answer. Choose the DICOM file that was uploaded: the report is filed "
        "under its patient. Nothing of the file is kept.",
        max_upload_size=ceil(policy.max_body / 2**20),
    )
    if given is not None:
        st.session_state[REPORT] = turn.answer_id, _written(api, turn, given.getvalue())
        # A new widget at once: this one lets go of the file, which names a patient.
        st.session_state[TURN] = count + 1
        st.rerun()
    of, written = st.session_state.get(REPORT) or (None, None)
    if of != turn.answer_id:  # it names the patient, too
        st.session_state.pop(REPORT, None)
    elif isinstance(written, ApiError):
        notices.tell(written)
    else:
        name = "report.dcm"
        st.download_button(
            "Download the report", written, name, "application/dicom", on_click="ignore"
        )


def _written(api: Api, turn: TurnOut, data: bytes) -> bytes | ApiError:
    try:
        return api.report(turn.answer_id, data)
    except ApiError as error:
        return error
