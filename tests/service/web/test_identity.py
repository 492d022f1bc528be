"""Who is at the page: what was read for one person is gone where another comes back."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="the extra web is not installed")

from streamlit.testing.v1 import AppTest

from vesalius.service.web import HEADER, identity


def look() -> None:
    """What of a session is left after its person was asked for."""
    import streamlit as st

    from vesalius.service.web import identity

    api = identity.api()
    st.text(f"{api.user}: {st.session_state.get('page')}")


def test_a_session_that_comes_back_as_somebody_else_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(HEADER, raising=False)
    monkeypatch.setattr(identity, "user", lambda: "ada")
    app = AppTest.from_function(look).run()
    app.session_state["page"] = "words of ada's"
    first = app.session_state["api"]
    assert app.run().text[0].value == "ada: words of ada's"
    assert app.session_state["api"] is first
    monkeypatch.setattr(identity, "user", lambda: "ben")
    assert app.run().text[0].value == "ben: None"
    assert app.session_state["api"] is not first
