"""A process without the internet, and a note of every host that its Python code asks for.

On Linux the kernel refuses internet sockets to the process, its threads and its children, whatever
language asks for them (a seccomp filter, seccomp(2)); sockets between processes of this machine's
files (AF_UNIX) stay. Elsewhere Python's own audit events are noted, and nothing is refused.

    python -m vesalius.system.airgap ATTEMPTS evaluate runs/first

runs ``vesalius evaluate runs/first`` in such a process; ATTEMPTS is a file that gets a line for
each host that was looked up or connected to.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import runpy
import socket
import struct
import sys
from pathlib import Path
from typing import Any

SYSCALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""By machine: the kernel's name of the architecture, and the number of ``socket``."""
IO_URING_SETUP = 425
"""It could open sockets past the filter."""
_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16  # offsets in struct seccomp_data
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000 | errno.EACCES
EVENTS = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1}
"""Audit events of Python, and which argument names the host."""


def sealable() -> bool:
    """Whether this machine's kernel can refuse a process the internet, as far as is known."""
    return sys.platform == "linux" and platform.machine() in SYSCALLS


def seal() -> None:
    """Have the kernel refuse internet sockets to this process from now on; it cannot be undone.

    OSError where the kernel has no such filters, or forbids them.
    """
    architecture, opening = SYSCALLS[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 7, architecture),  # another one: allowed
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 4, 0, IO_URING_SETUP),  # refused
        (_EQUAL, 0, 4, opening),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 1, 0, socket.AF_INET),  # refused
        (_EQUAL, 0, 1, socket.AF_INET6),
        (_RETURN, 0, 0, _ERROR),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for words in ((_NO_NEW_PRIVS, 1, 0, 0, 0), (_SET_SECCOMP, _FILTER, program, 0, 0)):
        if libc.prctl(*(ctypes.c_ulong(w) if isinstance(w, int) else w for w in words)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def note_hosts(file: Path) -> None:
    """From now on a line in ``file`` for each host that Python code of this process asks for."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event in EVENTS:
            host = arguments[EVENTS[event]]
            name = host[0] if isinstance(host, tuple) else host
            if event != "socket.connect" or isinstance(host, tuple):  # else a file of this machine
                with file.open("a", encoding="utf-8") as lines:
                    lines.write(f"{event.removeprefix('socket.')} {name}\n")

    sys.addaudithook(hook)


def main() -> None:
    """See the module."""
    file, *words = sys.argv[1:]
    note_hosts(Path(file))
    if sealable():
        seal()
    sys.argv = ["vesalius", *words]
    runpy.run_module("vesalius", run_name="__main__")


if __name__ == "__main__":
    main()
