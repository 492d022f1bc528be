"""Which addresses are this machine's own, and by which name a request came."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this machine to itself."""
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([\w.-]+))(?::\d{0,5})?", re.ASCII)


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host``, a name or an address, stays on this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name in a ``Host`` header, lower case, without port and brackets; empty if it is none."""
    match = _HOST.fullmatch(header)
    return "" if match is None else (match[1] or match[2]).lower()


def same_origin(headers: Mapping[str, str]) -> bool:
    """Whether the page that is the ``Origin`` was served under the ``Host`` it calls, port and all.

    ``headers`` have names in lower case. Where a proxy in front says that people come over https,
    a page that came over http is a stranger: anybody on the way can have written it.
    """
    scheme, _, name = headers["origin"].lower().partition("://")
    forwarded = headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower()
    schemes = {"https"} if forwarded in {"https", "wss"} else {"http", "https"}
    return scheme in schemes and name == headers.get("host", "").lower() != ""
