"""What of a text is seen, in any script."""

from __future__ import annotations

import pytest

from vesalius.language.script import is_blank


@pytest.mark.parametrize(
    "text", ["", " \n", "\u00a0", "\u200b", "\ufeff\u200f", "\x00", "\u2060 \u00ad"]
)
def test_a_text_of_which_nothing_is_seen_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize(
    "text", ["?", "\u200bleft", "\u5de6", "\u0646\u0639\u0645", "-", "e\u0301", "\U0001fac1"]
)
def test_any_sign_is_seen(text: str) -> None:
    assert not is_blank(text)
