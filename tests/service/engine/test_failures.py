"""What crosses from where the model is, and the problem that a caller is told."""

from __future__ import annotations

import pytest

from vesalius.errors import ModelError, TooLong, Unavailable, Unshowable, VesaliusError
from vesalius.service.engine.failures import refusal
from vesalius.service.http.problems import kind_of


@pytest.mark.parametrize(
    ("error", "status", "hint"),
    [
        (Unshowable("turn 2 shows a picture", where="doe/1"), 422, "show the picture with the fi"),
        (TooLong("9 tokens do not fit into 8", where="doe/1"), 422, "ask a shorter question"),
        (Unavailable("away"), 503, ""),
    ],
)
def test_the_questions_own_faults_are_its_callers(
    error: ModelError, status: int, hint: str
) -> None:
    crossed = refusal(error)
    assert crossed.what == error.what
    assert (crossed.hint or "").startswith(hint)
    assert "doe" not in str(crossed)  # an id may name somebody
    assert kind_of(crossed.code).status == status


def test_of_strangers_errors_no_words_cross() -> None:
    crossed = refusal(ValueError("Jane Doe"))
    assert isinstance(crossed, VesaliusError)
    assert str(crossed) == "the model failed at this question (ValueError)"
