"""No library that we load looks up a host behind our back, in no process of ours."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 15
"""onnxruntime's own telemetry waits about nine seconds."""
RESOLVER = r"""
#define _GNU_SOURCE
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

static void note(const char *name) {
    FILE *file = fopen(getenv("LOOKUPS"), "a");
    if (file) { fprintf(file, "%s\n", name); fclose(file); }
}
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
                struct addrinfo **result) {
    if (name) note(name);
    return EAI_FAIL;
}
struct hostent *gethostbyname(const char *name) { note(name); return NULL; }
"""
ALONE = "import onnxruntime, time; time.sleep({seconds})"
HERE = """
import time
from PIL import Image
from vesalius.data.burned_in import find_text
find_text(Image.new("RGB", (200, 64), "white"))
time.sleep({seconds})
"""
CHILD = """
import time
from PIL import Image
from vesalius.system.workers import Pool
pool = Pool("vesalius.data.burned_in:find_text", size=1, seconds=60)
pool.run(Image.new("RGB", (200, 64), "white"))
time.sleep({seconds})
pool.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs LD_PRELOAD")
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_text_reader_looks_up_no_host(tmp_path: Path) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    source, library = tmp_path / "resolver.c", tmp_path / "resolver.so"
    source.write_text(RESOLVER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    running: dict[str, subprocess.Popen[bytes]] = {}
    for name, program in (("alone", ALONE), ("here", HERE), ("child", CHILD)):
        own = {"LD_PRELOAD": str(library), "LOOKUPS": str(tmp_path / name)}
        code = program.format(seconds=SECONDS)
        environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | own
        running[name] = subprocess.Popen([sys.executable, "-c", code], env=environment)
    assert [process.wait(120) for process in running.values()] == [0, 0, 0]
    if not (tmp_path / "alone").exists():
        pytest.skip("this onnxruntime looks nothing up")
    assert not (tmp_path / "here").exists()
    assert not (tmp_path / "child").exists()
