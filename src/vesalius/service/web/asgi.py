"""What Streamlit serves: the page of ``app.py``, behind a check of the name it is called by."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware
from streamlit.starlette import App

from vesalius.service.web.hosts import KnownHosts, allowed

names = allowed(st.get_option("server.address"))
app = App("app.py", middleware=[Middleware(KnownHosts, hosts=names)])
