"""Who is at the page, and the API asked for them."""

from __future__ import annotations

import os
from time import monotonic

import streamlit as st

from vesalius.service.web import HEADER, KEY, URL
from vesalius.service.web.client import Api
from vesalius.service.web.rules import Version

DEFAULT_URL = "http://127.0.0.1:8000"
FRESH = 60.0
"""Seconds for which the service's word about itself is kept."""


def login_is_set() -> bool:
    """Whether Streamlit's own login (OIDC, in its secrets file) is configured."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def user() -> str | None:
    """The login of whoever is at the page: the proxy's word, or Streamlit's login; else None.

    Where one of the two is set, nobody gets further without it.
    """
    header = os.environ.get(HEADER)
    if header:
        login = st.context.headers.get(header)
        if not login:
            st.error("You are not signed in. Open this page through your hospital's sign-in.")
            st.stop()
        return str(login)
    if not login_is_set():
        return None
    if not st.user.is_logged_in:
        st.title("Vesalius")
        st.write("Sign in to ask about medical pictures.")
        st.button("Sign in", on_click=st.login, type="primary")
        st.stop()
    return str(st.user.get("email") or st.user.get("sub"))


def api() -> Api:
    """The API for this person; its connections are kept for the session."""
    person = user()
    held = st.session_state.get("api")
    if isinstance(held, Api) and held.user != person:
        # A browser that was away came back signed in as somebody else: all here was another's.
        st.session_state.clear()
        held = None
    if not isinstance(held, Api):
        url = os.environ.get(URL) or DEFAULT_URL
        held = Api(url, key=os.environ.get(KEY) or None, user=person)
        st.session_state["api"] = held
    return held


def version(client: Api) -> Version:
    """What answers and by which rules; asked for once a minute. Raises ApiError."""
    at, held = st.session_state.get("version", (0.0, None))
    if not isinstance(held, Version) or monotonic() - at > FRESH:
        held = client.version()
        st.session_state["version"] = monotonic(), held
    return held
