"""Processes without a network, where no name resolves, and a note of every name that was asked for.

They live in a network of their own whose one resolver is here: so it does not matter what asks,
Python, C++, or a part of wandb in Go, which asks without the C library. Needs Linux, and a kernel
that lets its user have namespaces.

    unshare --user --map-root-user --net --mount python failing_resolver.py NAMES COMMAND...
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SPACES = ("unshare", "--user", "--map-root-user", "--net", "--mount")
CLUES = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "PYTEST_VERSION")
"""By these some libraries know that they are tested, and keep quiet."""
SIOCSIFFLAGS, UP = 0x8914, 0x1  # netdevice(7)
HEADER, NO_SUCH_NAME = 12, 0x8183  # RFC 1035, 4.1.1


def able() -> bool:
    """Whether this machine lets us have such processes."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return subprocess.run([*SPACES, "true"], capture_output=True, check=False).returncode == 0


def start(
    names: Path, program: str, python: str | Path = sys.executable, **variables: str
) -> subprocess.Popen[str]:
    """A Python program whose questions for hosts are lines in ``names``, in an empty home."""
    from vesalius.system.usage_reports import SWITCHES

    switches = {name for one in SWITCHES.values() for name in one}
    unset = {*switches, *CLUES}
    # A library that was told to be offline elsewhere in this process would prove nothing.
    outside = {k: v for k, v in os.environ.items() if k not in unset and not k.endswith("_OFFLINE")}
    home = names.with_suffix(".home")
    home.mkdir()
    places = dict.fromkeys(("HOME", "HF_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(home))
    return subprocess.Popen(
        [*SPACES, sys.executable, __file__, str(names), str(python), "-c", program],
        env={**outside, **places, **variables},
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def names_in(file: Path) -> list[str]:
    """The names that were asked for."""
    return sorted(set(file.read_text().split())) if file.exists() else []


def _answer(place: socket.socket, file: Path) -> None:
    """Note each name, and reply that there is none."""
    own = socket.gethostname()
    while True:
        question, asker = place.recvfrom(4096)
        labels, at = [], HEADER
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode(errors="replace"))
            at += 1 + question[at]
        if labels[0] != own and labels != own.split("."):
            with file.open("a") as lines:
                lines.write(f"{'.'.join(labels)}\n")
        head = question[:2] + struct.pack(">HHHHH", NO_SUCH_NAME, 1, 0, 0, 0)
        place.sendto(head + question[HEADER : at + 5], asker)


def main() -> int:
    """See the module."""
    names, *command = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", UP))
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("nameserver 127.0.0.1\noptions attempts:1 timeout:2\n")
        file.flush()
        subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)
        place = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        place.bind(("127.0.0.1", 53))
        threading.Thread(target=_answer, args=(place, Path(names)), daemon=True).start()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
