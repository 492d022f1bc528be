"""Room for files on their way: what is dropped on the page is held in its memory until it is sent.

A few large archives at once would end the process for everybody.
"""

from __future__ import annotations

import os
from collections import Counter
from weakref import WeakSet

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from streamlit.runtime import get_instance
from streamlit.runtime.scriptrunner import get_script_run_ctx

from vesalius.service.web import HELD
from vesalius.service.web.batch import Batch

DEFAULT_MIB = 768
UPLOADS = "/_stcore/upload_file/"
"""Streamlit's address for files, followed by the session and a file's id."""
_refused: Counter[str] = Counter()
_batches: WeakSet[Batch] = WeakSet()


def most_held() -> int:
    """Bytes of files that may be here at a time: ``$VESALIUS_WEB_HELD_MIB``."""
    return int(os.environ.get(HELD) or DEFAULT_MIB) * 2**20


def count(batch: Batch) -> None:
    """Count a batch's bytes for as long as anything holds it."""
    _batches.add(batch)


def held() -> int:
    """Bytes of files that are here: in Streamlit's hands, or on their way to the service."""
    stats = get_instance().uploaded_file_mgr.get_stats()
    arrived: int = sum(one.byte_length for family in stats.values() for one in family)
    return arrived + sum(batch.size for batch in list(_batches))


def refused_here() -> int:
    """How many files of this session there was no room for since this was last asked."""
    context = get_script_run_ctx()
    return 0 if context is None else _refused.pop(context.session_id, 0)


class UploadRoom:
    """ASGI middleware: a file that there is no room for is answered 507, unread."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most
        self._coming = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, and count the file in it while it comes."""
        if scope["type"] != "http" or scope["method"] != "PUT":
            await self.app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "")
        if not length.isdecimal():
            await PlainTextResponse("A length is needed.\n", 411)(scope, receive, send)
            return
        if held() + self._coming + int(length) > self.most:
            session = scope["path"].removeprefix(UPLOADS).partition("/")[0]
            if get_instance().is_active_session(session):
                _refused[session] += 1
            text = "Too many files are on their way. Try again later.\n"
            await PlainTextResponse(text, 507)(scope, receive, send)
            return
        self._coming += int(length)
        try:
            await self.app(scope, receive, send)
        finally:
            self._coming -= int(length)
