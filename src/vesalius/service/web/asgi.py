"""What Streamlit serves: the page of ``app.py``, behind its gate."""

from __future__ import annotations

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config, net_util
from streamlit.starlette import App

from vesalius.service.web import views
from vesalius.service.web.gate import PageGate, allowed
from vesalius.service.web.logs import quote_no_fault
from vesalius.service.web.room import UploadRoom, most_held

quote_no_fault()
# Streamlit would ask a host of the internet for this machine's address, to allow it as an origin.
net_util.get_external_ip = lambda: None
# Pages of its makers' hosts might otherwise steer ours from around a frame.
config.set_option("client.allowedOrigins", [])
names = allowed(st.get_option("server.address"))
layers = [Middleware(PageGate, hosts=names), Middleware(UploadRoom, most=most_held())]
app = App("app.py", routes=views.ROUTES, middleware=layers)
