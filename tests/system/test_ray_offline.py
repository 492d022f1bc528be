"""Ray on this machine asks for no host and listens on loopback alone, whatever it would report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*resolve)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    resolve next = (resolve)dlsym(RTLD_NEXT, "getaddrinfo");
    if (!name || !strncmp(name, "127.", 4) || !strcmp(name, "localhost") || !strcmp(name, "::1"))
        return next(name, service, hints, result);
    FILE *file = fopen(getenv("LOOKUPS"), "a");
    if (file) { fprintf(file, "%s\n", name); fclose(file); }
    return EAI_FAIL;
}
struct hostent *gethostbyname(const char *name) { return NULL; }
"""
PROGRAM = """
import socket, sys
from functools import partial
from pathlib import Path
sys.path.insert(0, {tests!r})
from ray_jobs import Squares
from vesalius.system.ray_engine import run_on_ray
try:
    socket.getaddrinfo("usage-stats.ray.io", 443)
except OSError:
    job = run_on_ray(partial(Squares, Path({at!r}), "ports"), 2)
    print(job.left())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_a_job_by_ray_asks_for_no_host_and_listens_on_loopback_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    source, library = tmp_path / "resolver.c", tmp_path / "resolver.so"
    source.write_text(RESOLVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    lookups, at = tmp_path / "lookups", tmp_path / "shards"
    program = PROGRAM.format(tests=str(Path(__file__).parent), at=str(at))
    own = {"LD_PRELOAD": str(library), "LOOKUPS": str(lookups)}
    apart = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=apart | own,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.stdout == "0\n", ended.stderr
    # The program's own question shows that the resolver is in place; there is no other.
    assert lookups.read_text() == "usage-stats.ray.io\n"
    ports = (tmp_path / "ports").read_text().split()
    assert len(ports) > 3
    assert {port.rpartition(":")[0] for port in ports} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
