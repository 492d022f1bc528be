"""Request heads to the letter: line ends are CR LF, and no header goes on in a next line.

RFC 9112 lets a recipient take a bare LF (2.2) and lets a server refuse folded lines (5.2). Where a
proxy in front reads such a head in another way, a second request can hide in the first.
"""

from __future__ import annotations

import re

from h11 import LocalProtocolError
from h11._receivebuffer import ReceiveBuffer

_LOOSE = re.compile(rb"(?<!\r)\n|\r(?!\n)|\n[ \t]")


class StrictHeads(ReceiveBuffer):
    """What a peer has sent, as h11 reads it; a loose head is no HTTP (LocalProtocolError)."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a head or of a chunked body's trailers, once they are whole."""
        before = bytes(self._data)
        lines = super().maybe_extract_lines()
        if lines is not None and _LOOSE.search(before[: len(before) - len(self._data)]):
            raise LocalProtocolError("a head with a bare line feed or a folded line")
        return lines
