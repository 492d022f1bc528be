"""A fault of the page is logged by kind and place, without its words."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("structlog", reason="the extra serve is not installed")

from pydantic import ValidationError

from vesalius.service.http.schemas import AskRequest
from vesalius.service.web.logs import quote_no_fault


def test_a_fault_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "_logRecordFactory", logging.getLogRecordFactory())  # put back
    quote_no_fault()
    with pytest.raises(ValidationError, match="Jane Doe") as fault:
        AskRequest.model_validate({"image_id": "a", "question": ["Jane Doe"]})
    log = logging.getLogger("streamlit.error_util")
    log.error("Uncaught %s", "fault", exc_info=fault.value)
    assert "Jane Doe" not in caplog.text
    assert "Uncaught fault: ValidationError at " in caplog.text
    log.warning("no fault %d", 1)
    assert "no fault 1" in caplog.text
