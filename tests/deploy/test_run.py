"""What the images run, run their way: as user 10001, without capabilities, on a read-only root.

No container engine is needed. A mount namespace of its own stands in for the container: the same
entry point, commands and variables, the root read-only, /tmp and the state fresh and writable.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.slow
STATE = "/srv/state"

INSIDE = """
set -eu
# The interpreter may lie in root's home, where user 10001 may not go: it alone is shown there.
case $BASE in /root/*)
  mount -t tmpfs -o mode=755 tmpfs /mnt
  mkdir /mnt/python
  mount --bind "$BASE" /mnt/python
  mount -t tmpfs -o mode=755 tmpfs /root
  mkdir -p "$BASE"
  mount --bind /mnt/python "$BASE"
esac
mount -t tmpfs -o mode=755 tmpfs /srv
# So may the checkout in /tmp, which is hidden below.
case $ROOT in /tmp/*)
  mkdir /srv/checkout
  mount --bind "$ROOT" /srv/checkout
esac
install -d -o 10001 -g 10001 -m 0750 /srv/state
printf %s "$URL" >/srv/database_url
chmod 444 /srv/database_url
mount -t tmpfs -o mode=1777 tmpfs /tmp
case $ROOT in /tmp/*)
  mkdir -p "$ROOT"
  mount --bind /srv/checkout "$ROOT"
esac
mount -o remount,ro,bind /
exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --bounding-set=-all \
  --inh-caps=-all -- "$@"
"""


def container(root: Path, *words: str, **env: str) -> subprocess.Popen[str]:
    """The words under the entry point, with only these variables."""
    reachable = [root, *root.parents]
    if os.geteuid() != 0 or not all(shutil.which(p) for p in ("unshare", "setpriv")):
        pytest.skip("needs root, unshare and setpriv")
    if not all(p.stat().st_mode & 0o005 == 0o005 for p in reachable):
        pytest.skip("this checkout is not readable by other users")
    tried = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip("mount namespaces may not be made here")
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    own = {"PATH": path, "HOME": "/tmp", "XDG_CACHE_HOME": "/tmp/cache"}
    own |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    own |= {"ROOT": str(root), "BASE": sys.base_prefix, "URL": f"sqlite:///{STATE}/vesalius.db"}
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", INSIDE, "container"]
    return subprocess.Popen(
        [*command, str(root / "deploy" / "entrypoint"), *words],
        env=own | env,
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    """On leaving it is asked to stop, and must do so in time and well."""
    try:
        yield
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)
        assert process.returncode in {0, -signal.SIGTERM, 143}, said
        assert "Read-only file system" not in said
        assert "Permission denied" not in said
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def healthy(root: Path, process: subprocess.Popen[str], url: str) -> None:
    """Until the image's own health check says so."""
    end = time.monotonic() + 60
    command = [sys.executable, str(root / "deploy" / "probe"), url]
    while subprocess.run(command, capture_output=True, check=False).returncode:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, f"{url} does not answer"
        time.sleep(0.3)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def picture() -> bytes:
    from io import BytesIO

    out = BytesIO()
    Image.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)).save(out, "PNG")
    return out.getvalue()


def test_the_service_runs_closed(root: Path, started: dict[str, list[str]]) -> None:
    port = free_port()
    first = f"vesalius keys create first && exec {' '.join(started['api'])}"
    process = container(
        root,
        "sh",
        "-c",
        first,
        VESALIUS_HOST="0.0.0.0",
        VESALIUS_PORT=port,
        VESALIUS_STATE=STATE,
        VESALIUS_REPLAY="echo",
        VESALIUS_DATABASE_URL_FILE="/srv/database_url",
    )
    url = f"http://127.0.0.1:{port}"
    with stopped(process):
        healthy(root, process, f"{url}/readyz")
        assert process.stdout is not None
        key = {"Authorization": f"Bearer {process.stdout.readline().strip()}"}
        with httpx2.Client(base_url=url, headers=key, trust_env=False, timeout=30) as client:
            made = client.post("/upload_image", files={"image_file": picture()})
            assert made.status_code == 201, made.text
            said = {"image_id": made.json()["image_id"], "question": "where is it?"}
            answer = client.post("/ask_question", json=said)
            assert answer.json()["answer"] == "You asked: where is it?"
        assert httpx2.post(f"{url}/ask_question", json=said, trust_env=False).status_code == 401
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert re.search(r"^Uid:\t10001\t10001", status, re.M)
        assert re.search(r"^CapBnd:\t0+$", status, re.M)
        assert re.search(r"^NoNewPrivs:\t1$", status, re.M)
    assert not Path(STATE).exists()  # it was in the namespace alone


def test_the_pages_run_closed(root: Path, started: dict[str, list[str]]) -> None:
    port, api = free_port(), "http://127.0.0.1:9"
    words = [port if word == "8501" else word for word in started["web"]]
    process = container(
        root,
        *(api if word == "$VESALIUS_API_URL" else word for word in words),
        VESALIUS_API_KEY="vsk_of-no-service",
        VESALIUS_WEB_USER_HEADER="X-Forwarded-User",
    )
    with stopped(process):
        healthy(root, process, f"http://127.0.0.1:{port}/_stcore/health")


def test_the_pages_do_not_open_to_everyone(root: Path, started: dict[str, list[str]]) -> None:
    process = container(root, *started["web"], VESALIUS_API_KEY="vsk_of-no-service")
    _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "VESALIUS_WEB_USER_HEADER" in said
